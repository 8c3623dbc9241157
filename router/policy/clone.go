package policy

import "slices"

// clonePolicy copies a policy so deeply that nothing is shared with the caller.
func clonePolicy(p Policy) Policy {
	p.People = slices.Clone(p.People)
	p.Devices = cloneEach(p.Devices, func(d Device) Device {
		d.MACs, d.Addrs = slices.Clone(d.MACs), slices.Clone(d.Addrs)
		return d
	})
	p.Groups = cloneEach(p.Groups, func(g Group) Group {
		g.Devices, g.People = slices.Clone(g.Devices), slices.Clone(g.People)
		return g
	})
	p.Main = cloneEach(p.Main, cloneRule)
	p.User = cloneEach(p.User, cloneRule)
	return p
}

func cloneEach[T any](list []T, clone func(T) T) []T {
	out := slices.Clone(list)
	for i := range out {
		out[i] = clone(out[i])
	}
	return out
}

func cloneRule(r Rule) Rule {
	r.Who.Devices, r.Who.People, r.Who.Groups =
		slices.Clone(r.Who.Devices), slices.Clone(r.Who.People), slices.Clone(r.Who.Groups)
	w := &r.What
	w.Apps, w.Categories, w.Domains = slices.Clone(w.Apps), slices.Clone(w.Categories), slices.Clone(w.Domains)
	w.Addresses, w.Services, w.DSCP = slices.Clone(w.Addresses), slices.Clone(w.Services), slices.Clone(w.DSCP)
	w.Protocols, w.TLSNames, w.Payload = slices.Clone(w.Protocols), slices.Clone(w.TLSNames), slices.Clone(w.Payload)
	w.HTTP.Hosts, w.HTTP.Paths = slices.Clone(w.HTTP.Hosts), slices.Clone(w.HTTP.Paths)
	r.When = slices.Clone(r.When)
	if s := clonePointer(r.Steer); s != nil {
		s.Use, s.Allow, s.Forbid = slices.Clone(s.Use), slices.Clone(s.Allow), slices.Clone(s.Forbid)
		r.Steer = s
	}
	if q := clonePointer(r.QoS); q != nil {
		q.Priority, q.MinPriority, q.MaxPriority =
			clonePointer(q.Priority), clonePointer(q.MinPriority), clonePointer(q.MaxPriority)
		q.DSCP = clonePointer(q.DSCP)
		r.QoS = q
	}
	r.Filter = clonePointer(r.Filter)
	return r
}

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
