package netlab

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
)

// Expose makes a TCP address inside a namespace reachable at an address of the
// machine's own namespace, until the lab ends. It returns the address it listens
// on (ask for port 0 to get a free one).
func (l *Lab) Expose(ctx context.Context, outside string, n *Namespace, inside string) (net.Addr, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", outside)
	if err != nil {
		return nil, fmt.Errorf("open %s on this machine for the lab: %w", outside, err)
	}
	l.goRun("the door "+outside, func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { ln.Close() })()
		for {
			c, err := ln.Accept()
			if err != nil {
				return err
			}
			l.wg.Go(func() { l.join(c, n, inside) })
		}
	})
	return ln.Addr(), nil
}

// join copies between a connection from outside and one it makes inside.
func (l *Lab) join(outside net.Conn, n *Namespace, address string) {
	defer outside.Close()
	inside, err := n.Dial(l.ctx, "tcp", address)
	if err != nil {
		l.log.Debug("nothing answers inside the lab", "address", address, "err", err)
		return
	}
	defer inside.Close()
	defer context.AfterFunc(l.ctx, func() { outside.Close(); inside.Close() })()
	var both sync.WaitGroup
	both.Go(func() { pour(inside, outside) })
	both.Go(func() { pour(outside, inside) })
	both.Wait()
}

// pour copies one way until the source ends, and passes the end on.
func pour(to, from net.Conn) {
	_, _ = io.Copy(to, from) // a broken connection is the end of it, for both sides
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
