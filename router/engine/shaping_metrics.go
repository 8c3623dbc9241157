package engine

import (
	"slices"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/qos"
)

// shapingMetrics is what the metrics tell of the links that are shaped now.
func (e *Engine) shapingMetrics() []observe.ShapedLink {
	var out []observe.ShapedLink
	for _, l := range e.QoS().Links {
		if l.Shaped == (Rates{}) {
			continue
		}
		m := observe.ShapedLink{Name: l.Name}
		m.Ways[qos.Up].Rate, m.Ways[qos.Down].Rate = l.Shaped.Up, l.Shaped.Down
		for _, c := range l.Classes {
			// Devices that are gone have no name, and a rule may be called as a class is: one series must not come twice.
			i := slices.IndexFunc(m.Classes, func(s observe.ShapedClass) bool { return s.Device == c.Device && s.Class == c.Class })
			if i < 0 {
				i = len(m.Classes)
				m.Classes = append(m.Classes, observe.ShapedClass{Device: c.Device, Class: c.Class})
			}
			for d, w := range map[qos.Direction]QoSWay{qos.Up: c.Up, qos.Down: c.Down} {
				s := &m.Classes[i].Ways[d]
				*s = observe.ClassWay{Bytes: s.Bytes + w.Bytes, Dropped: s.Dropped + w.Dropped, Waiting: s.Waiting + w.Waiting}
			}
		}
		out = append(out, m)
	}
	return out
}

// wayOf is the direction of packets that a device's tree holds.
func wayOf(device string) qos.Direction {
	if device == hal.DownloadDevice {
		return qos.Down
	}
	return qos.Up
}
