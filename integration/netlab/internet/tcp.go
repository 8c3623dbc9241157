package internet

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// idle is how long a TCP server waits for a silent client: longer than the outages of any scenario.
const idle = 15 * time.Minute

// greeter is the TCP echo server: it greets with a Seen line as soon as it is called, takes the first line that the
// client sends as its tag and records that once more, and returns every byte, the first line's too.
type greeter struct{ rec *Recorder }

func (g greeter) handle(_ context.Context, conn net.Conn) {
	seen := wire.Seen{Proto: wire.ProtoTCP, Local: addrPort(conn.LocalAddr()), Remote: addrPort(conn.RemoteAddr()), Detail: "accept"}
	if wire.WriteLine(conn, g.rec.Add(seen)) != nil {
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(idle))
	r := bufio.NewReader(conn)
	first, err := wire.ReadText(r)
	if err != nil {
		return
	}
	seen.Tag, seen.Detail = wire.CutTag(string(first)), "first line"
	g.rec.Add(seen)
	if _, err := conn.Write(append(first, '\n')); err != nil {
		return
	}
	buf := make([]byte, 4<<10)
	for {
		_ = conn.SetDeadline(time.Now().Add(idle))
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := conn.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// streamer is the throughput sink and source; see package wire for the order of a connection.
type streamer struct{ rec *Recorder }

func (s streamer) handle(ctx context.Context, conn net.Conn) {
	seen := wire.Seen{Proto: wire.ProtoStream, Local: addrPort(conn.LocalAddr()), Remote: addrPort(conn.RemoteAddr())}
	r := bufio.NewReader(conn)
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	var order wire.Order
	if err := wire.ReadLine(r, &order); err != nil {
		return
	}
	if err := order.Check(); err != nil {
		_ = wire.WriteLine(conn, wire.Outcome{Error: err.Error()})
		return
	}
	seen.Tag, seen.Detail = order.Tag, string(order.Direction)
	if wire.WriteLine(conn, s.rec.Add(seen)) != nil {
		return
	}
	if order.Direction == wire.Down {
		_, _ = wire.Send(ctx, refresh{conn}, order, nil) // the receiver judges
		return
	}
	out, err := wire.Receive(refreshReader{r, conn}, nil)
	if err == nil || errors.Is(err, wire.ErrCorrupt) {
		_ = wire.WriteLine(conn, out)
	}
}

// refresh gives each write, and refreshReader each read, its own deadline: a dead peer ends, a slow one does not.
type refresh struct{ net.Conn }

func (w refresh) Write(b []byte) (int, error) {
	_ = w.SetWriteDeadline(time.Now().Add(idle))
	return w.Conn.Write(b)
}

type refreshReader struct {
	io.Reader
	conn net.Conn
}

func (r refreshReader) Read(b []byte) (int, error) {
	_ = r.conn.SetReadDeadline(time.Now().Add(idle))
	return r.Reader.Read(b)
}
