package policy

import (
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/router/flow"
)

// Policy is everything a household has said: who there is, and the rules of both tiers.
// Its YAML form is docs/POLICY.md; Parse and Format convert without loss.
type Policy struct {
	TimeZone string // IANA name for all schedules; "" is the machine's own
	People   []Person
	Devices  []Device
	Groups   []Group
	Main     []Rule // in the order written; the order has no meaning, see Rule.Priority
	User     []Rule // each with Owner set
}

// Person owns devices and may write user rules for them.
type Person struct {
	ID   string // slug: a-z, 0-9, '-'
	Name string
}

// Device is a device that the policy names. Devices that the router found by itself and nobody named are not here.
type Device struct {
	ID    string // slug, unique among devices
	Name  string
	MACs  []flow.MAC
	Addrs []netip.Addr // for devices behind another router, which have no MAC here
	Owner string       // person id; "" for a device of the house
}

// Group is a set of devices and people; a person in a group brings all their devices.
type Group struct {
	ID      string
	Name    string
	Devices []string
	People  []string
}

// Tier is who wrote a rule.
type Tier uint8

const (
	BuiltIn Tier = iota
	Main
	User
)

// Force says how a main rule binds. User rules have ForceNone.
type Force uint8

const (
	ForceNone Force = iota
	Must            // decides, whatever the user says
	Bound           // limits what a user rule may say
	Default         // decides when no user rule does
)

// Rule is one statement about flows. At least one of Steer, QoS, Filter, Log is set.
type Rule struct {
	ID       string // slug, unique over both tiers
	Name     string // in the household's words; shown by "why"
	Tier     Tier
	Owner    string // user tier: person id
	Force    Force
	Priority int // -1000 to 1000, higher is looked at first inside its tier and force; default 0
	Disabled bool
	Who      Who
	What     What
	When     []Window // empty: always
	// From and Until are moments outside of which the rule sleeps, whatever When says: it holds from From on and before Until. Zero: no bound.
	// They are whole seconds, in UTC.
	From, Until time.Time

	Steer  *Steer
	QoS    *QoS
	Filter *Filter
	Log    bool
}

// Who selects devices: any of the lists. All empty means every device of the LAN (a user rule: every device of
// its owner). Router selects the router's own traffic instead; it stands alone.
type Who struct {
	Devices []string
	People  []string
	Groups  []string
	Router  bool
}

// What selects flows. Name selectors (Apps, Categories, Domains) are one dimension: any of them. Addresses, Services
// and DSCP are one dimension each, and so is each list that looks at content: Protocols, TLSNames, HTTP's two, Payload. A dimension that is
// empty matches everything; all dimensions must match. A rule that looks at content can only block.
type What struct {
	Apps       []string // catalogue ids
	Categories []string // catalogue ids
	Domains    []Domain
	Addresses  []netip.Prefix // of the far end
	Services   []Service
	DSCP       []uint8  // 0 to 63, as the LAN host set it
	Protocols  []string // what the flow speaks, by the names that dpi gives
	TLSNames   []Pattern
	HTTP       HTTPSelect
	Payload    []Pattern
}

// Domain selects host names: the name itself and, unless Exact, all names below it.
// Name is lower case, without a final dot, in ASCII (punycode).
type Domain struct {
	Name  string
	Exact bool
}

// Service is a transport protocol and a range of destination ports. Port bounds are 0 to 65535, inclusive; both 0 means
// every port, and must be so for protocols without ports.
type Service struct {
	Proto       flow.Proto
	First, Last uint16
}

// Window is a weekly span of local time. Days is a bit set, bit 0 = Sunday (time.Weekday). From and To are minutes since
// midnight, 0 to 1440; To <= From means that the span ends on the next day; it belongs to the day it starts on.
type Window struct {
	Days     uint8
	From, To int
}

// SteerMode is how a link is chosen among Steer.Use.
type SteerMode uint8

const (
	Failover SteerMode = iota // the first living link in the order written
	Fixed                     // this one link; when it is dead the flow is refused
	Balance                   // by weight
	Any                       // the router's own order: roles, then health
)

// Sticky says which flows of a balance go together.
type Sticky uint8

const (
	StickyFlow Sticky = iota // each flow by itself
	StickyHost               // all flows of a LAN device
	StickySite               // all flows of a device to one site (registrable domain, else address)
)

// Failback says what becomes of flows on a lent link when a better one is back.
type Failback uint8

const (
	Drain Failback = iota // they end where they are (metered and backup links always move)
	Move                  // they are moved at once
)

// Delivery is how a link that is a bond carries a flow; on other links it means nothing. The values are those of bond.Mode.
type Delivery uint8

const (
	Speed    Delivery = iota // over all its paths
	Reliable                 // over two paths at once: one may die, and nothing is lost
	Latency                  // over the path where it arrives first
	Saver                    // over paths where bytes cost only if the others are not enough
)

// Steer is the choice of a link. Links are named as in the daemon's configuration.
//
//   - main must and default: Use, Mode, Sticky, Failback, Delivery, KillSwitch, Strict, OverQuota
//   - main bound: Allow, Forbid, KillSwitch and OverQuota only
//   - user rules: Use, Mode, Sticky, Failback, Delivery, KillSwitch, Strict
//
// In a Decision, bounds are applied to Use (Any then has the links to choose from in it) and Forbid is empty. Allow
// lists, where bounds take links away, all links that the flow may take if none of Use lives; empty means every link.
type Steer struct {
	Mode       SteerMode
	Use        []LinkShare // Failover: order; Fixed: one; Balance: shares; Any: empty
	Sticky     Sticky      // balance only
	Failback   Failback
	Delivery   Delivery
	KillSwitch bool // when no link of Use lives the flow is refused instead of taking another
	Strict     bool // a TCP flow that names itself and proves to be on another link is reset once, so that its next try takes the right one
	Allow      []string
	Forbid     []string
	OverQuota  bool // may use a link whose data quota is spent
}

// LinkShare is a link and its weight in a balance (1 to 1000; 0 outside a balance).
type LinkShare struct {
	Link   string
	Weight int
}

// Rate is bits per second; 0 is "not said".
type Rate uint64

// QoS is what a flow may expect of a full link. In a main bound, Cap is a maximum, Guarantee the budget per device and
// MinPriority/MaxPriority the range of Priority. In a Decision that range is set when nobody says a Priority, so that
// the one that follows from the class can be held inside it.
type QoS struct {
	Class                    string // "", or one of ClassNames
	Priority                 *int   // 0 (first) to 7
	MinPriority, MaxPriority *int   // main bound only
	GuaranteeDown            Rate
	GuaranteeUp              Rate
	CapDown                  Rate
	CapUp                    Rate
	// Throttle is the cap on links whose data quota is spent, beside Cap. In a main bound it is a maximum, like Cap.
	ThrottleDown, ThrottleUp Rate
	// DSCP is what packets carry when they leave by a link: a code point of 0 to 63, or KeepDSCP. nil: 0, whatever the LAN host set.
	DSCP *int
}

// KeepDSCP as QoS.DSCP trusts the LAN host: its code point is left as it is.
const KeepDSCP = 64

// ClassNames are the application classes, in the order of flow.AppClass from 1.
func ClassNames() []string {
	return []string{"realtime", "interactive", "streaming", "web", "bulk", "background"}
}

// FilterAction is what a filter rule does with a flow.
type FilterAction uint8

const (
	NoAction FilterAction = iota // the rule only sets a mode
	Block
	Allow
)

// FilterMode is how strict a device's filter is. The order of the values is the order of strictness.
type FilterMode uint8

const (
	ModeUnset   FilterMode = iota
	ModeAllow              // everything passes but what a main must blocks
	ModeFilter             // everything passes but what a rule blocks (built-in)
	ModeDenyAll            // nothing passes but what a rule allows
)

// Filter blocks or allows flows, or sets the mode of the devices it applies to (a mode rule has an empty What).
// A main bound sets the least mode.
type Filter struct {
	Action   FilterAction
	Mode     FilterMode
	Liftable bool // main must block, or mode deny-all in a main must or bound: a user's allow lifts it
	Silent   bool // block and deny-all: drop instead of refusing
}
