package steer

import (
	"time"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// Role is what a link is kept for; see flow.Role.
type Role = flow.Role

const (
	Primary   = flow.Primary
	Secondary = flow.Secondary
	Backup    = flow.Backup
	Never     = flow.Never
)

// LinkCondition is a WAN link as it stands at one moment. Name and ID are unique in a list of conditions.
type LinkCondition struct {
	ID        flow.LinkID
	Name      string
	Role      Role
	Usable    bool   // carries traffic: up or degraded, not captive. A spent quota is told by OverQuota, not here
	Lacks     string // what a link that is well otherwise does not have for these flows, like "IPv6"; for words alone
	OverQuota bool   // the month's data is spent: only rules with Steer.OverQuota may use the link
	Degraded  bool
	Metered   bool
	Weight    int           // share among links of the same role when a rule leaves the choice to the router; below 1 counts as 1
	Latency   time.Duration // 0: not known. No rule looks at it; it is shown beside the choice
}

// recallAlways tells whether a flow that was only lent this link leaves it as soon as a better one is back, even
// where the rule says drain: it costs money or is kept for emergencies.
func (l LinkCondition) recallAlways() bool { return l.Metered || l.Role == Backup }

// open tells whether new flows of a rule may take the link now.
func (l LinkCondition) open(s policy.Steer) bool {
	return l.Usable && l.Role != Never && (!l.OverQuota || s.OverQuota)
}
