package hal

import (
	"context"
	"fmt"
	"time"
)

// Firewall loads nftables rulesets and edits the elements of named sets and maps in the table "inet trenza".
type Firewall interface {
	// Load hands text to `nft -f -`: one transaction, all or nothing. A refusal is a *RulesetError, which wraps
	// ErrRefused and carries nft's own message with the offending line of text.
	Load(ctx context.Context, text string) error
	// Check is Load with `nft -c`: everything but the commit.
	Check(ctx context.Context, text string) error
	// Objects lists the names of the chains, sets and maps of table inet trenza; empty when there is no table.
	Objects(ctx context.Context) (FirewallObjects, error)
	// Fingerprint is a hash over the rules of table inet trenza without counters and without the elements of
	// sets that hold learned state (those with a timeout flag). It changes if and only if someone changed
	// a chain, a rule, a set definition or a static element. "" means that there is no table.
	Fingerprint(ctx context.Context) (string, error)
	// Elements reads a set or map of the table whole.
	Elements(ctx context.Context, set string) ([]Element, error)
	// SetElements adds the elements or replaces those with the same key (value, timeout and comment); one
	// netlink transaction, without a process.
	SetElements(ctx context.Context, set string, elems []Element) error
	// DeleteElements removes elements by key; those that do not exist are no error.
	DeleteElements(ctx context.Context, set string, elems []Element) error
	// Counters reads the named counter objects of the table.
	Counters(ctx context.Context) (map[string]Counter, error)
}

// FirewallObjects are the names in table inet trenza, each list sorted.
type FirewallObjects struct {
	Chains, Sets, Maps, Counters []string
}

// Element is one entry of a named set or map. Key holds the parts of a concatenated key, each in network byte
// order except marks, which are in host order as the kernel keeps them; build it with ElementKey.
type Element struct {
	Key     []KeyPart
	Value   uint32        // a mark; unused for a set
	Timeout time.Duration // 0: for ever
	Expires time.Duration // left to live, when read
	Comment string        // at most 127 bytes
}

// KeyPart is one field of an element's key: exactly one of netip.Addr (v4 or v6 as the set says), uint32 (a mark),
// uint16 (a port), flow.Proto, flow.MAC.
type KeyPart any

// ElementKey builds an element's key from its parts, in the order of the set's type.
func ElementKey(parts ...KeyPart) []KeyPart { return parts }

// RulesetError is nft's refusal of a ruleset. It wraps ErrRefused.
type RulesetError struct {
	Line    int    // 1-based line of the text that was loaded; 0 when nft named none
	Text    string // that line, without surrounding space
	Message string // nft's own words
}

func (e *RulesetError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%v: %s", ErrRefused, e.Message)
	}
	return fmt.Sprintf("%v: line %d: %s: %q", ErrRefused, e.Line, e.Message, e.Text)
}

func (e *RulesetError) Unwrap() error { return ErrRefused }

// Counter is the content of a named nft counter.
type Counter struct{ Packets, Bytes uint64 }
