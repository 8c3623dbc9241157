package carrier

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"
)

// TestMemory: packets cross in both directions, in order and as copies; the poller learns of them; what nobody reads is lost, and an end that
// was closed says so.
func TestMemory(t *testing.T) {
	a, b, err := NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	clock := NewClock()
	p, err := NewPoller(clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	place := p.Watch(b.FD())
	memory := []byte{0x45, 0}
	for i := range 3 {
		memory[1] = byte(i)
		if err := a.Write(memory); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		if err := a.Flush(); err != nil {
			t.Error(err)
		}
	}()
	var got [][]byte
	for end := clock.Now() + time.Minute; len(got) < 3 && clock.Now() < end; {
		if err := p.Wait(end); err != nil {
			t.Fatal(err)
		}
		if p.Ready(place) {
			if err := b.Read(func(packet []byte) { got = append(got, bytes.Clone(packet)) }); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, packet := range got {
		if !bytes.Equal(packet, []byte{0x45, byte(i)}) {
			t.Errorf("packet %d is %v", i, packet)
		}
	}
	if err := p.Wait(clock.Now()); err != nil || p.Ready(place) {
		t.Errorf("an end without packets can be read: %v", err)
	}
	for range memoryHolds + 10 {
		_ = b.Write(memory)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := a.Read(func([]byte) { n++ }); err != nil || n != memoryHolds {
		t.Errorf("%d packets of a burst arrived: %v; want %d", n, err, memoryHolds)
	}
	_ = a.Close()
	if err := a.Read(func([]byte) {}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("reading a closed end: %v", err)
	}
	_ = b.Write(memory)
	if err := b.Flush(); err != nil {
		t.Errorf("writing to an end whose other one is closed: %v", err)
	}
	_ = b.Close()
	_ = b.Write(memory)
	if err := b.Flush(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("writing to a closed end: %v", err)
	}
}
