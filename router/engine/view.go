package engine

import (
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// Status is the router at a glance.
type Status struct {
	Version  string
	Started  time.Time
	Now      time.Time
	Sentence string // the state in one plain sentence
	Links    []LinkView
	Devices  int // known
	Active   int // seen in the last five minutes
	Flows    int
	Warnings []Warning
	Plan     PlanView
}

// LinkView is a WAN link as a person wants to see it. Rates are bits per second, amounts bytes.
type LinkView struct {
	ID       flow.LinkID
	Name     string
	Device   string
	Role     flow.Role
	State    string // "up", "degraded", "captive", "down"
	Usable   bool
	Reason   string // why it is in this state, in plain words
	Since    time.Time
	Address4 netip.Prefix
	Address6 netip.Prefix
	Gateway4 netip.Addr
	Gateway6 netip.Addr
	RTT      time.Duration // median of the last minute; 0: unknown
	Jitter   time.Duration
	Loss     float64 // 0 to 1, of the last minute
	RateDown uint64
	RateUp   uint64
	Capacity struct{ Down, Up uint64 } // configured; 0: unknown
	Metered  bool
	Quota    QuotaView
	Flows    int
	History  []LinkSample // of the last five minutes, oldest first
}

// LinkSample is one probe of a link.
type LinkSample struct {
	At   time.Time
	RTT  time.Duration // 0: no answer
	Loss float64       // 0 or 1
}

// QuotaView is a monthly allowance and what is used of it; a Limit of 0 is none.
type QuotaView struct {
	Limit, Used uint64
	Resets      time.Time
	State       string // "", "ok", "warn" (75 %), "spent"
}

// DeviceView is a device of the household.
type DeviceView struct {
	Number    flow.DeviceID
	ID        string
	Name      string
	Hostname  string
	Vendor    string
	MACs      []flow.MAC
	Addrs     []netip.Addr
	Owner     string // person id
	Interface string
	FirstSeen time.Time
	LastSeen  time.Time
	Named     bool // the policy names it
	RateDown  uint64
	RateUp    uint64
	Flows     int
}

// FlowView is a running flow.
type FlowView struct {
	ID        uint32 // the kernel's
	Key       flow.Key
	Device    string // id
	Link      string // name; "" for a flow inside the house
	App       string
	Category  string
	Host      string
	Class     flow.AppClass
	Confident int    // 0 to 100
	Reason    string // how the application was known
	Lent      bool
	Inbound   bool
	Since     time.Time
	BytesDown uint64
	BytesUp   uint64
	RateDown  uint64
	RateUp    uint64
}

// FlowFilter narrows a list of flows; empty fields match everything.
type FlowFilter struct {
	Device, Link, App string
	Limit             int // 0: 200
}

// Warning is something that a person should know or do.
type Warning struct {
	Code     string // stable
	Severity string // "info", "warning", "error"
	Subject  string // what it is about, such as a link's name
	Text     string
	Fix      string
	Since    time.Time
}

// EventView is something that happened.
type EventView struct {
	At       time.Time
	Severity string
	Kind     string // "link", "device", "policy", "plan", "heal", "resolver", ...
	Subject  string // what it is about: a link's name, a device's id; may be empty
	Text     string
}

// PlanView is the plan that the kernel holds.
type PlanView struct {
	Made     time.Time
	Took     time.Duration // compile and apply
	Links    []string      // the links that flows may take by it; one that has just recovered is not among them yet
	Rules    int           // of the policy
	Chains   int
	Elements int
	Applied  uint64 // how many plans since the start
	Healed   uint64 // how often something else had changed the kernel's state
	Error    string // of the last attempt; "" when it stands
}

// Question asks why a device's flow goes where it goes. Device is an id, a name, a MAC or an address; To a name or an address.
type Question struct {
	Device string
	To     string
	Port   uint16
	Proto  flow.Proto // 0: TCP
	DSCP   uint8
	At     time.Time // zero: now
}

// Answer is the whole chain of reasons.
type Answer struct {
	Device   DeviceView
	Target   policy.Target
	Known    string // how the application was known, and how sure
	Certain  int    // 0 to 100
	Decision policy.Decision
	Families []FamilyAnswer // what the decision comes to, by address family
	Running  []FlowView     // flows that match the question now
	Sentence string         // the answer in one plain sentence
	At       time.Time
}

// FamilyAnswer is the link that new flows of one family take. Links has one entry with Share 1 when the link is certain, more when
// flows are balanced, none when the flow is refused or stays inside the house (Near). Each link is there once.
type FamilyAnswer struct {
	Family hal.Family
	Addr   netip.Addr // the address that the answer is for; invalid when the name has none in this family
	Links  []LinkShare
	Near   bool
	Why    string
}

// LinkShare is a link and the part of new flows that takes it.
type LinkShare struct {
	Link  string
	Share float64 // 0 to 1
	Lent  bool    // it stands in for another link, and has no part of its own
}

// PolicyView is the policy in force.
type PolicyView struct {
	Version  int64
	Changed  time.Time
	By       string
	Text     string // YAML
	Warnings []string
	Findings []string
}

// Live is a second of the router's life, for pages that watch.
type Live struct {
	At      time.Time
	Links   []LinkView // without History
	Devices map[string]Rates
	Apps    map[string]Rates
	Flows   int
}

// Rates are bits per second.
type Rates struct{ Down, Up uint64 }
