package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestDatagramRoundTrip(t *testing.T) {
	for _, want := range []Datagram{
		{Kind: KindEcho, Session: 1, Seq: 2, ClientTime: -3, Tag: "a tag"},
		{Kind: KindGameAnswer, Session: ^uint64(0), Seq: 9, ClientTime: 5, ServerTime: 6, Received: 7, Highest: 8,
			Seen: netip.MustParseAddrPort("203.0.113.9:4711")},
		{Kind: KindEchoAnswer, Seen: netip.MustParseAddrPort("[2001:db8:100::9]:1"), Tag: strings.Repeat("x", MaxTag)},
	} {
		b := want.Append(nil, 300)
		if len(b) != 300 {
			t.Errorf("padded to %d bytes, want 300", len(b))
		}
		got, err := ParseDatagram(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
			t.Errorf("round trip (-want +got):\n%s", diff)
		}
	}
}

func FuzzDatagram(f *testing.F) {
	f.Add(Datagram{Kind: KindGame, Tag: "x"}.Append(nil, 0))
	f.Add(Datagram{Kind: KindEchoAnswer, Seen: netip.MustParseAddrPort("192.0.2.1:7")}.Append(nil, 200))
	f.Add([]byte("TRZ1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDatagram(b)
		if err != nil {
			if !errors.Is(err, ErrNotDatagram) {
				t.Fatalf("error %v does not wrap ErrNotDatagram", err)
			}
			return
		}
		again, err := ParseDatagram(d.Append(nil, len(b)))
		if err != nil || again != d {
			t.Fatalf("%+v came back as %+v, %v", d, again, err)
		}
	})
}

func TestStream(t *testing.T) {
	for name, order := range map[string]Order{
		"bytes":        {Direction: Up, Bytes: 1_000_001},
		"one byte":     {Direction: Up, Bytes: 1},
		"duration":     {Direction: Up, Duration: 50 * time.Millisecond},
		"paced":        {Direction: Up, Bytes: 20_000, Rate: 8_000_000},
		"bytes or end": {Direction: Up, Bytes: 1 << 40, Duration: 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			start := time.Now()
			sent, err := Send(t.Context(), &b, order, nil)
			if err != nil {
				t.Fatal(err)
			}
			if order.Rate > 0 {
				if least := time.Duration(sent) * 8 * time.Second / time.Duration(order.Rate); time.Since(start) < least*9/10 {
					t.Errorf("%d bytes in %v, want at least %v", sent, time.Since(start), least)
				}
			}
			if order.Duration == 0 && sent != order.Bytes {
				t.Errorf("sent %d bytes, want %d", sent, order.Bytes)
			}
			out, err := Receive(&b, nil)
			if err != nil || !out.Intact || out.Bytes != sent {
				t.Errorf("outcome %+v, %v; sent %d", out, err, sent)
			}
		})
	}
}

func TestStreamDamage(t *testing.T) {
	var b bytes.Buffer
	if _, err := Send(t.Context(), &b, Order{Direction: Up, Bytes: 40_000}, nil); err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(b.Bytes())
	flipped[20_000] ^= 1
	if out, err := Receive(bytes.NewReader(flipped), nil); !errors.Is(err, ErrCorrupt) || out.Intact {
		t.Errorf("flipped bit: %+v, %v", out, err)
	}
	if out, err := Receive(bytes.NewReader(b.Bytes()[:30_000]), nil); !errors.Is(err, io.ErrUnexpectedEOF) || out.Intact {
		t.Errorf("cut short: %+v, %v", out, err)
	}
	if out, err := Receive(bytes.NewReader(b.Bytes()[:b.Len()-1]), nil); !errors.Is(err, io.ErrUnexpectedEOF) || out.Intact {
		t.Errorf("cut at the end: %+v, %v", out, err)
	}
}

func TestSendEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Send(ctx, io.Discard, Order{Direction: Up, Bytes: 1 << 30, Rate: 8000}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func FuzzReceive(f *testing.F) {
	var b bytes.Buffer
	if _, err := Send(f.Context(), &b, Order{Direction: Down, Bytes: 700}, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{0, 0, 0, 1, 7, 0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := Receive(bytes.NewReader(b), nil)
		if out.Intact != (err == nil) || out.Bytes > int64(len(b)) {
			t.Fatalf("%+v, %v from %d bytes", out, err, len(b))
		}
	})
}

func FuzzOrderLine(f *testing.F) {
	f.Add([]byte(`{"direction":"up","bytes":12}` + "\n"))
	f.Add([]byte("{}\n"))
	f.Add(bytes.Repeat([]byte("x"), maxLine+9))
	f.Fuzz(func(t *testing.T, b []byte) {
		var o Order
		if err := ReadLine(bufio.NewReaderSize(bytes.NewReader(b), 16), &o); err == nil && o.Check() == nil {
			if o.Bytes == 0 && o.Duration == 0 {
				t.Fatalf("endless order %+v accepted", o)
			}
		}
	})
}

func TestStallWatch(t *testing.T) {
	start := time.Unix(0, 0)
	w := NewStallWatch(start)
	for _, ms := range []int{10, 20, 90, 100} {
		w.Mark(start.Add(time.Duration(ms) * time.Millisecond))
	}
	if w.Longest != 70*time.Millisecond || !w.At.Equal(start.Add(20*time.Millisecond)) {
		t.Errorf("longest %v at %v", w.Longest, w.At)
	}
}
