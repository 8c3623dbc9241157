package host

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// SetNamed gives the registry the policy's devices, which take precedence over all that it found by itself: their ids, names and
// owners count, several MACs become one device, and an address of the policy belongs to nobody else. A device that the
// policy no longer names stays, as one that was found. The error tells which devices got no number; the others are in effect.
func (r *Registry) SetNamed(list []policy.Device, now time.Time) error {
	defer r.tell()
	r.mu.Lock()
	defer r.mu.Unlock()
	wanted := map[string]bool{}
	for _, d := range list {
		wanted[d.ID] = len(d.MACs)+len(d.Addrs) > 0
	}
	for _, e := range r.number {
		if e.named && !wanted[e.id] {
			old := e.device(r.vendors)
			e.named, e.wasNamed, e.policyName, e.owner = false, true, "", ""
			r.pin(e, nil, now)
			r.changed(e, old)
		}
	}
	var left []string
	for _, d := range list {
		if wanted[d.ID] && !r.setNamed(d, now) {
			left = append(left, d.ID)
		}
	}
	if left != nil {
		return fmt.Errorf("%d devices of the policy got no number (%s): at most %d devices can be told apart; remove some that are gone",
			len(left), strings.Join(left[:min(len(left), 5)], ", "), flow.MaxDevice)
	}
	return nil
}

func (r *Registry) setNamed(d policy.Device, now time.Time) bool {
	e := r.namedEntry(d, now)
	if e == nil {
		return false
	}
	old, added := e.device(r.vendors), e.id == ""
	r.giveID(e, d.ID)
	r.setMACs(e, d.MACs)
	r.pin(e, d.Addrs, now)
	e.named, e.confirmed, e.policyName, e.owner, e.view = true, true, d.Name, d.Owner, nil
	switch is := e.device(r.vendors); {
	case added:
		r.changes = append(r.changes, Change{Kind: Added, Device: is})
	case !same(old, is):
		r.changed(e, old)
	}
	return true
}

// namedEntry finds what the policy means: the device of that id if it was the policy's before, else the one that has the first of the
// MACs, else a new one. A stranger that happened to have the id gives it up.
func (r *Registry) namedEntry(d policy.Device, now time.Time) *entry {
	has := func(e *entry) bool {
		return slices.ContainsFunc(e.macs, func(m flow.MAC) bool { return slices.Contains(d.MACs, m) })
	}
	e := r.id[d.ID]
	if e != nil && (e.named || e.wasNamed || has(e)) {
		return e
	}
	if e != nil {
		old := e.device(r.vendors)
		r.giveID(e, d.ID+"-2") // or the next number that is free
		r.changed(e, old)
	}
	for _, m := range d.MACs {
		if e := r.mac[m]; e != nil && !e.named {
			return e
		}
	}
	if e = r.newEntry(true, now); e != nil {
		e.first, e.last = time.Time{}, time.Time{} // named before it was ever seen
	}
	return e
}

// setMACs makes exactly these MACs the device's; a found device that loses all of its own is joined with it.
func (r *Registry) setMACs(e *entry, macs []flow.MAC) {
	if slices.Equal(e.macs, macs) {
		return
	}
	for _, m := range e.macs {
		if !slices.Contains(macs, m) { // its addresses are not told apart from the others': learn them anew
			delete(r.mac, m)
			for a := range e.addrs {
				delete(e.addrs, a)
				delete(r.addr, a)
			}
		}
	}
	for _, m := range macs {
		if o := r.mac[m]; o != nil && o != e {
			r.takeMAC(e, o, m)
		}
		r.mac[m] = e
	}
	e.macs, e.view = slices.Clone(macs), nil
}

func (r *Registry) takeMAC(e, from *entry, m flow.MAC) {
	old := from.device(r.vendors)
	from.macs = slices.DeleteFunc(slices.Clone(from.macs), func(x flow.MAC) bool { return x == m })
	if len(from.macs) > 0 || from.named {
		r.changed(from, old)
		return
	}
	addrs, hostname, first, last := from.addrs, from.hostname, from.first, from.last
	r.forget(from)
	r.renamed = append(r.renamed, rename{from.id, e.id})
	for a, v := range addrs {
		e.addrs[a], r.addr[a] = v, e
	}
	if e.hostname == "" {
		e.hostname = hostname
	}
	if e.first.IsZero() || first.Before(e.first) {
		e.first = first
	}
	if last.After(e.last) {
		e.last = last
	}
}

// pin makes exactly these addresses the policy's for a device.
func (r *Registry) pin(e *entry, addrs []netip.Addr, now time.Time) {
	pinned := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		pinned = append(pinned, a.Unmap().WithZone(""))
	}
	for _, a := range e.pinned {
		if !slices.Contains(pinned, a) && r.addr[a] == e {
			delete(e.addrs, a)
			delete(r.addr, a)
		}
	}
	for _, a := range pinned {
		if other := r.addr[a]; other != nil && other != e {
			old := other.device(r.vendors)
			delete(other.addrs, a)
			r.changed(other, old)
		}
		e.addrs[a], r.addr[a] = &address{seen: now, evidence: byPolicy, proved: now}, e
	}
	e.pinned, e.view = pinned, nil
}

// same compares all that a change is told for.
func same(a, b Device) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Hostname == b.Hostname && a.Owner == b.Owner && a.Named == b.Named &&
		slices.Equal(a.MACs, b.MACs) && slices.Equal(a.Addrs, b.Addrs)
}
