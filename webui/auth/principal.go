package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Role is what a user may do.
type Role string

const (
	Admin  Role = "admin"  // everything
	Viewer Role = "viewer" // sees everything, changes nothing
	Member Role = "member" // sees and changes what belongs to one person of the policy
)

// ParseRole reads a role.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case Admin, Viewer, Member:
		return r, nil
	}
	return "", fmt.Errorf("role %q: use admin, viewer or member", s)
}

// Scope is a part of what its user may do that a token may do.
type Scope string

const (
	Read    Scope = "read"    // look at everything that its user may look at
	Rules   Scope = "rules"   // change rules, people and devices
	Control Scope = "control" // pause, tests, links
)

// ParseScopes reads scopes, sorted and each once.
func ParseScopes(list []string) ([]Scope, error) {
	var out []Scope
	for _, s := range list {
		switch v := Scope(s); v {
		case Read, Rules, Control:
			out = append(out, v)
		default:
			return nil, fmt.Errorf("scope %q: use read, rules or control", s)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if len(out) == 0 {
		return nil, errors.New("a token without a scope can do nothing: use read, rules or control")
	}
	return out, nil
}

// Principal is who makes a request. The zero value is a stranger.
type Principal struct {
	User    int64  // 0: a stranger, or root
	Name    string // for people; "root" on the control socket
	Role    Role
	Person  string  // of the policy, for a member
	Session string  // id of the session; "" for tokens and root
	Token   int64   // 0 for sessions and root
	Scopes  []Scope // of the token
	Root    bool    // on the control socket, whose file's mode says who that is
}

// Root is who asks on the control socket.
func Root() Principal { return Principal{Name: "root", Role: Admin, Root: true} }

// Known tells whether it is anyone at all.
func (p Principal) Known() bool { return p.Role != "" }

// Voice names the one login by which a change is made: only the same one confirms it.
func (p Principal) Voice() string {
	switch {
	case p.Root:
		return "root"
	case p.Session != "":
		return "session " + p.Session
	case p.Token != 0:
		return fmt.Sprintf("token %d", p.Token)
	}
	return ""
}

// Visit is what the connection tells of a request.
type Visit struct {
	Peer  netip.Addr // invalid on the control socket
	TLS   bool
	Agent string // what the browser says it is
}

type principalKey struct{}
type visitKey struct{}

// With gives a request's context who asks and from where.
func With(ctx context.Context, p Principal, v Visit) context.Context {
	return context.WithValue(context.WithValue(ctx, principalKey{}, p), visitKey{}, v)
}

// Of is who asks; a stranger when nobody was found.
func Of(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}

// VisitOf is from where a request comes.
func VisitOf(ctx context.Context) Visit {
	v, _ := ctx.Value(visitKey{}).(Visit)
	return v
}

// Access is who may use a route.
type Access struct {
	Anyone bool   // also strangers, in every state of the router
	Setup  bool   // strangers, while there are no users yet
	Roles  []Role // users of these roles
	Scope  Scope  // that a token needs; "": no token will do
}

// Errors of Permit and of signing in.
var (
	ErrSetupNeeded = errors.New("this router has no users yet: open its page and set it up, or run \"trenza user add\" on the router")
	ErrStranger    = errors.New("sign in first")
	ErrForbidden   = errors.New("your role does not allow this; ask an admin")
	ErrScope       = errors.New("this token does not allow this")
)

// Permit tells whether p may use the route. users tells whether there are any.
func (a Access) Permit(p Principal, users bool) error {
	switch {
	case a.Anyone, p.Root:
		return nil
	case a.Setup && !users:
		return nil
	case !users:
		return ErrSetupNeeded
	case !p.Known():
		if a.Setup {
			return fmt.Errorf("the router has been set up: %w", ErrForbidden)
		}
		return ErrStranger
	case !slices.Contains(a.Roles, p.Role):
		return ErrForbidden
	case p.Token != 0 && a.Scope == "":
		return fmt.Errorf("%w: it needs a person who signed in", ErrScope)
	case p.Token != 0 && !slices.Contains(p.Scopes, a.Scope):
		return fmt.Errorf("%w: it needs the scope %q and has %s", ErrScope, a.Scope, joinScopes(p.Scopes, ", "))
	}
	return nil
}

func joinScopes(list []Scope, by string) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = string(s)
	}
	return strings.Join(words, by)
}
