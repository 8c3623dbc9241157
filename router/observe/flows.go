package observe

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/store"
)

// Flow is a running connection to the internet, seen from the LAN.
type Flow struct {
	ID         uint32   // the kernel's
	Key        flow.Key // Src is the LAN's side (or the router's own)
	Mark       flow.Mark
	Device     flow.DeviceID
	DeviceName string
	Link       flow.LinkID
	LinkName   string
	App, Host  string // "" when not known
	Class      flow.AppClass
	State      string // of TCP
	Rate       Rate
	Total      store.Traffic // booked since it began or was adopted
	Since      time.Time
	Lent       bool // on a link that is not its first choice
	Inbound    bool // opened from the internet
}

// FlowOrder says how flows are sorted.
type FlowOrder uint8

const (
	ByRate  FlowOrder = iota // busiest first
	ByBytes                  // most first
	BySince                  // newest first
)

// FlowQuery narrows a list of flows; zero fields match everything.
type FlowQuery struct {
	Device, Link, App string     // names, exactly
	Proto             flow.Proto // 0: any
	Text              string     // part of the host, the application, an address or a device's name, in any case
	Order             FlowOrder
	Offset, Limit     int // Limit 0: 200; at most 5,000
}

// Flows lists running flows and tells how many match in all.
func (c *Collector) Flows(q FlowQuery) (list []Flow, total int) {
	c.mu.Lock()
	for _, e := range c.track.conns {
		if e.ended.IsZero() && e.toInternet() {
			list = append(list, e.flow())
		}
	}
	c.mu.Unlock()
	devices, links := map[flow.DeviceID]string{}, map[flow.LinkID]string{}
	text := strings.ToLower(q.Text)
	list = slices.DeleteFunc(list, func(f Flow) bool {
		return !q.matches(f, named(devices, f.Device, c.deviceName), named(links, f.Link, c.linkName), text)
	})
	slices.SortFunc(list, q.Order.compare)
	total = len(list)
	list = list[min(max(q.Offset, 0), total):]
	limit := q.Limit
	if limit <= 0 {
		limit = 200
	}
	list = slices.Clip(list[:min(limit, 5000, len(list))])
	for i := range list {
		list[i].DeviceName, list[i].LinkName = devices[list[i].Device], links[list[i].Link]
	}
	return list, total
}

// named asks for each name once.
func named[K comparable](known map[K]string, k K, ask func(K) string) string {
	name, ok := known[k]
	if !ok {
		name = ask(k)
		known[k] = name
	}
	return name
}

func (e *conn) flow() Flow {
	return Flow{ID: e.key.id, Key: e.local, Mark: e.mark, Device: e.mark.Device(), Link: e.mark.Link(), App: e.id.App, Host: e.id.Host,
		Class: e.mark.App(), State: e.state, Rate: e.rate, Total: e.total, Since: e.since, Lent: e.mark.Lent(), Inbound: e.mark.Inbound()}
}

func (q FlowQuery) matches(f Flow, device, link, text string) bool {
	switch {
	case q.Device != "" && q.Device != device, q.Link != "" && q.Link != link, q.App != "" && q.App != appName(f.App), !q.Proto.Matches(f.Key.Proto):
		return false
	case text == "":
		return true
	}
	for _, s := range []string{f.Host, f.App, device, f.Key.Src.String(), f.Key.Dst.String()} {
		if strings.Contains(strings.ToLower(s), text) {
			return true
		}
	}
	return false
}

func (o FlowOrder) compare(a, b Flow) int {
	first := 0
	switch o {
	case ByRate:
		first = cmp.Compare(b.Rate.Up+b.Rate.Down, a.Rate.Up+a.Rate.Down)
	case BySince:
		first = b.Since.Compare(a.Since)
	}
	return cmp.Or(first, cmp.Compare(b.Total.Up+b.Total.Down, a.Total.Up+a.Total.Down), b.Since.Compare(a.Since),
		a.Key.Src.Compare(b.Key.Src), a.Key.Dst.Compare(b.Key.Dst), cmp.Compare(a.ID, b.ID))
}
