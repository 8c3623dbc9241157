package flow

import "fmt"

// Role is what a household keeps a WAN link for.
type Role uint8

const (
	Primary   Role = iota // used whenever it lives
	Secondary             // used when no primary lives, and by rules that name it
	Backup                // stays unused until nothing else lives, or a rule names it
	Never                 // carries no flow at all
)

func (r Role) String() string {
	switch r {
	case Primary:
		return "primary"
	case Secondary:
		return "secondary"
	case Backup:
		return "backup"
	case Never:
		return "never"
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

// ParseRole reads a role as String writes it; the empty string is Primary.
func ParseRole(s string) (Role, error) {
	for r := Primary; r <= Never; r++ {
		if s == r.String() {
			return r, nil
		}
	}
	if s == "" {
		return Primary, nil
	}
	return 0, fmt.Errorf("role %q: use primary, secondary, backup or never", s)
}

// MarshalText and UnmarshalText let a role stand in YAML and JSON as its word.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (r *Role) UnmarshalText(b []byte) error {
	v, err := ParseRole(string(b))
	if err == nil {
		*r = v
	}
	return err
}
