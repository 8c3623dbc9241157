package policy

import (
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/router/flow"
)

// Subject is who a flow belongs to. Device is a policy or host-registry id; MAC and Addr-only devices that the policy does not
// name have an id of the registry's making, no Person and no Groups.
type Subject struct {
	Device string
	Person string
	Groups []string // sorted
	Router bool     // the router's own traffic
}

// Target is where a flow goes and what it is. Unknown fields are zero and then match no selector of that kind.
type Target struct {
	App      string
	Category string
	Host     string // lower case
	Addr     netip.Addr
	Proto    flow.Proto
	Port     uint16 // destination; 0 for protocols without ports
	DSCP     uint8
	Content  *Content // nil: the flow was not looked into
}

// Query asks for the decision about one flow at one moment.
type Query struct {
	Subject Subject
	Target  Target
	Time    time.Time
}

// Aspect is one of the questions that policy answers about a flow.
type Aspect uint8

const (
	AspectSteer Aspect = iota
	AspectQoS
	AspectFilter
	AspectLog
)

// Decision is the answer for all aspects, with the reason for each.
type Decision struct {
	Steer   Steer // what to do; bounds are applied to Use, and Allow holds for what comes after it
	QoS     QoS
	Class   flow.AppClass // of the flow: of a rule that promises something to some flows, else that of QoS.Class
	Blocked bool
	Silent  bool // drop instead of refusing
	Mode    FilterMode
	Log     bool
	Reasons []Reason // by aspect, in the order in which rules were looked at
}

// Outcome tells how a rule fared.
type Outcome uint8

const (
	Decided   Outcome = iota // this rule's value is the answer (or part of it)
	Limited                  // a bound that changed the answer
	Clamped                  // this rule decided, but a bound changed its value
	Overruled                // another rule prevailed
	NoEffect                 // a bound or mode that had nothing to change
)

// Reason says of one rule that matched what it did to the decision. The built-in has RuleID "".
type Reason struct {
	Aspect   Aspect
	RuleID   string
	RuleName string
	Tier     Tier
	Owner    string
	Force    Force
	Outcome  Outcome
	By       string // the rule that overruled or clamped it
	Text     string // one plain sentence
}
