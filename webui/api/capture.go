package api

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/router/engine"
)

// Capture streams a device's packets to the client; a client that goes away ends it.
func (h *Handlers) Capture(ctx context.Context, request CaptureRequestObject) (CaptureResponseObject, error) {
	p := request.Params
	q := engine.CaptureQuery{Device: p.Device, Port: uint16(value(p.Port)), Length: 30 * time.Second, Packets: 10_000, Bytes: 256}
	if p.To != nil {
		addr, err := netip.ParseAddr(*p.To)
		if err != nil {
			return nil, fmt.Errorf("%w: %q is not an address", engine.ErrBadQuestion, *p.To)
		}
		q.Far = addr
	}
	if p.Seconds != nil {
		q.Length = time.Duration(*p.Seconds) * time.Second
	}
	if p.Packets != nil {
		q.Packets = *p.Packets
	}
	if p.Bytes != nil {
		q.Bytes = *p.Bytes
	}
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	begun, over := make(chan struct{}), make(chan error, 1)
	go func() {
		defer cancel()
		err := h.engine.Capture(ctx, q, func() { close(begun) }, w)
		over <- err
		_ = w.CloseWithError(err) // documented to return nil always
	}()
	select {
	case <-begun:
	case err := <-over:
		return nil, err
	}
	go func() {
		select {
		case <-h.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return Capture200ApplicationxPcapngResponse{Body: stream{r, cancel}}, nil
}
