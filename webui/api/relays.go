package api

import (
	"context"
	"fmt"
	"strings"

	"github.com/trenza-router/trenza/router/bond/tunnel"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/flow"
)

// ListRelays answers with the links that are bonds.
func (h *Handlers) ListRelays(context.Context, ListRelaysRequestObject) (ListRelaysResponseObject, error) {
	return ListRelays200JSONResponse(each(h.engine.Bonds(), bondOf)), nil
}

// AddRelay adds a link by a relay's code. The code is not recorded: it is a secret.
func (h *Handlers) AddRelay(ctx context.Context, r AddRelayRequestObject) (AddRelayResponseObject, error) {
	b := value(r.Body)
	ask := engine.RelayRequest{Code: b.Code, Name: value(b.Name), Role: flow.Backup, Over: value(b.Over)}
	if b.Role != nil {
		role, err := flow.ParseRole(string(*b.Role))
		if err != nil {
			return nil, invalid("role: %v", err)
		}
		ask.Role = role
	}
	name, err := h.engine.AddRelay(ctx, ask)
	if err != nil {
		code, body := hardwareFailure(err)
		return AddRelaydefaultJSONResponse{StatusCode: code, Body: body}, nil
	}
	over := "all links"
	if len(ask.Over) > 0 {
		over = strings.Join(ask.Over, ", ")
	}
	h.record(ctx, "relay.add", name, "", fmt.Sprintf("a %s link over %s", ask.Role, over))
	return AddRelay202JSONResponse(RelayName{Name: name}), nil
}

// RemoveRelay takes such a link away.
func (h *Handlers) RemoveRelay(ctx context.Context, r RemoveRelayRequestObject) (RemoveRelayResponseObject, error) {
	name := value(r.Body).Name
	if err := h.engine.RemoveRelay(ctx, name); err != nil {
		code, body := hardwareFailure(err)
		return RemoveRelaydefaultJSONResponse{StatusCode: code, Body: body}, nil
	}
	h.record(ctx, "relay.remove", name, "a link", "")
	return RemoveRelay202JSONResponse(RelayName{Name: name}), nil
}

func bondOf(v engine.BondView) Bond {
	return Bond{
		Link: v.Link, Joined: v.Joined, Relay: v.Relay, Trouble: v.Trouble, Cipher: v.Cipher, Ipv4: addrText(v.IPv4), Ipv6: addrText(v.IPv6),
		Mtu: v.MTU, Paths: each(v.Paths, bondPath), QueuedBytes: int64(v.Queued), DroppedPackets: int64(v.Dropped), ResentPackets: int64(v.Resent),
		HeldPackets: int64(v.Held), LatePackets: int64(v.Late), CopiedPackets: int64(v.Copies),
	}
}

func bondPath(p tunnel.PathReport) BondPath {
	remote := ""
	if p.Remote.IsValid() {
		remote = p.Remote.String()
	}
	return BondPath{
		Name: p.Name, Device: p.Device, Carrier: p.Carrier, Trouble: p.Trouble, Remote: remote, Up: p.Up, Closed: p.Closed, RateBps: float32(p.Rate), RoundMs: float32(p.Round),
		QueueMs: float32(p.Queue), JitterMs: float32(p.Jitter), Mtu: p.MTU, SentBytes: int64(p.Sent), ReceivedBytes: int64(p.Received),
		LossOut: float32(p.LossOut), LossIn: float32(p.LossIn), ShareOut: float32(p.ShareOut), ShareIn: float32(p.ShareIn),
	}
}
