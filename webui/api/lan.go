package api

import (
	"context"
	"net/netip"

	"github.com/trenza-router/trenza/router/engine"
)

// ListLAN answers with the interfaces towards the household.
func (h *Handlers) ListLAN(context.Context, ListLANRequestObject) (ListLANResponseObject, error) {
	return ListLAN200JSONResponse(each(h.engine.LAN(), lan)), nil
}

func lan(v engine.LANView) LAN {
	out := LAN{
		Device: v.Device, Ports: append([]string{}, v.Ports...), Present: v.Present, Guest: v.Guest, Addresses: each(v.Addresses, netip.Prefix.String),
		Advertise: v.Advertise, Trouble: v.Trouble,
	}
	if v.First.IsValid() {
		first, last, seconds := v.First.String(), v.Last.String(), int(v.Lease.Seconds())
		out.First, out.Last, out.Lease = &first, &last, &seconds
	}
	return out
}
