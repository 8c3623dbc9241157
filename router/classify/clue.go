package classify

import (
	"fmt"
	"time"

	"github.com/trenza-router/trenza/router/flow"
)

// Clue is the best that is known of a flow before it says anything itself: a host that its address stands for, or an application.
// The zero value is no clue.
type Clue struct {
	Host string
	app  string // of others' flows, by what they spoke
	kind clueKind
}

type clueKind uint8

const (
	noClue    clueKind = iota
	byAnswer           // this device was given the address for that host
	byAnswers          // and for a host of another application: the latest is taken
	bySight            // this device named the host there before
	byOthers           // any device did
)

// FromDNS tells that the device asked for the host itself.
func (c Clue) FromDNS() bool { return c.kind == byAnswer || c.kind == byAnswers }

func (c Clue) confidence() int {
	switch c.kind {
	case byAnswer:
		return sureDNS
	case byAnswers:
		return sureMixed
	case bySight:
		return sureSeen
	case byOthers:
		return sureLearned
	}
	return 0
}

func (c Clue) reason(key flow.Key) string {
	addr := key.Dst.Addr()
	switch c.kind {
	case byAnswer:
		return fmt.Sprintf("this device was given %s for %s", addr, c.Host)
	case byAnswers:
		return fmt.Sprintf("this device was given %s for %s, and before that for another application", addr, c.Host)
	case bySight:
		return fmt.Sprintf("this device named %s at %s before", c.Host, addr)
	case byOthers:
		return fmt.Sprintf("other flows to %s %s named %s", key.Proto, key.Dst, c.Host)
	}
	return ""
}

// Recall looks up what is known of a device's flow that begins now. What anyone saw at an address that serves different applications
// was forgotten when that came out: it is no clue.
func (n *Names) Recall(device flow.DeviceID, key flow.Key, now time.Time) Clue {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.recall(device, key, now)
}

func (n *Names) recall(device flow.DeviceID, key flow.Key, now time.Time) Clue {
	addr := key.Dst.Addr().Unmap().WithZone("")
	e := n.names.Peek(nameKey{device, addr})
	if e != nil && now.Before(e.expires) {
		switch {
		case e.seen:
			return Clue{Host: e.host, kind: bySight}
		case e.mixed:
			return Clue{Host: e.host, kind: byAnswers}
		default:
			return Clue{Host: e.host, kind: byAnswer}
		}
	}
	if s := n.services.Peek(serviceKey{addr, key.Proto, key.Dst.Port()}); s != nil && now.Before(s.expires) {
		return Clue{Host: s.host, app: s.app, kind: byOthers}
	}
	return Clue{}
}
