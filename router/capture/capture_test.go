package capture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/trenza-router/trenza/router/capture"
	"github.com/trenza-router/trenza/router/capture/capturetest"
)

var (
	at4 = netip.MustParseAddrPort("10.77.0.20:40000")
	to4 = netip.MustParseAddrPort("203.0.113.7:53")
	at6 = netip.MustParseAddrPort("[2001:db8::20]:40000")
	to6 = netip.MustParseAddrPort("[2001:db8:1::7]:53")
)

// packets are a few frames of different sizes, a millisecond and something apart.
func packets(n int) []capturetest.Packet {
	var out []capturetest.Packet
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.UTC)
	for i := range n {
		ip := capturetest.UDP(at4, to4, bytes.Repeat([]byte{byte(i)}, i*7))
		out = append(out, capturetest.Packet{At: at, Data: capturetest.Frame(capture.LinkEthernet, ip)})
		at = at.Add(1_234_567 * time.Nanosecond)
	}
	return out
}

// readAll reads a file to its end; the data of the records are copies.
func readAll(r io.Reader) (records []capture.Record, err error) {
	c, err := capture.NewReader(r)
	if err != nil {
		return nil, err
	}
	for {
		p, err := c.Next()
		if err != nil {
			return records, err
		}
		p.Data = slices.Clone(p.Data)
		records = append(records, p)
	}
}

// files are the same packets in all formats, by name, and how exact their times are; 0: there are none.
func files(sent []capturetest.Packet) (files map[string][]byte, exact map[string]time.Duration) {
	files, exact = map[string][]byte{}, map[string]time.Duration{}
	add := func(name string, precision time.Duration, file []byte) { files[name], exact[name] = file, precision }
	for _, order := range []capturetest.Order{binary.LittleEndian, binary.BigEndian} {
		add(fmt.Sprintf("pcap micro %s", order), time.Microsecond, capturetest.Pcap(order, false, capture.LinkEthernet, sent))
		add(fmt.Sprintf("pcap nano %s", order), time.Nanosecond, capturetest.Pcap(order, true, capture.LinkEthernet, sent))
		for _, resolution := range []byte{6, 9, 3, 0x80 | 30, 0x80 | 10} {
			precision := time.Microsecond
			switch resolution {
			case 9:
				precision = time.Nanosecond
			case 3, 0x80 | 10:
				precision = time.Millisecond
			case 0x80 | 30:
				precision = 2 * time.Nanosecond
			}
			add(fmt.Sprintf("pcapng %#x %s", resolution, order), precision, capturetest.Section(order, capturetest.Enhanced, resolution, capture.LinkEthernet, sent))
		}
		add(fmt.Sprintf("pcapng obsolete %s", order), time.Microsecond, capturetest.Section(order, capturetest.Obsolete, 6, capture.LinkEthernet, sent))
		add(fmt.Sprintf("pcapng simple %s", order), 0, capturetest.Section(order, capturetest.Simple, 6, capture.LinkEthernet, sent))
		half := len(sent) / 2
		other := capturetest.Order(binary.BigEndian)
		if order == other {
			other = binary.LittleEndian
		}
		add(fmt.Sprintf("pcapng of two sections, first %s", order), time.Microsecond, append(
			capturetest.Section(order, capturetest.Enhanced, 6, capture.LinkEthernet, sent[:half]),
			capturetest.Section(other, capturetest.Obsolete, 9, capture.LinkEthernet, sent[half:])...))
	}
	var written bytes.Buffer
	w, err := capture.NewWriter(&written, capture.LinkEthernet)
	for _, p := range sent {
		err = errors.Join(err, w.Packet(p.At, p.Data, 0, "seen by a test"))
	}
	if err == nil {
		add("our own writer", time.Nanosecond, written.Bytes())
	}
	return files, exact
}

func TestEveryFormatGivesTheSamePackets(t *testing.T) {
	sent := packets(9)
	all, exact := files(sent)
	if len(all) != 21 {
		t.Fatalf("%d formats", len(all))
	}
	for name, file := range all {
		for _, r := range []io.Reader{bytes.NewReader(file), iotest.OneByteReader(bytes.NewReader(file))} {
			got, err := readAll(r)
			if !errors.Is(err, io.EOF) || len(got) != len(sent) {
				t.Fatalf("%s: %d packets, %v", name, len(got), err)
			}
			for i, p := range got {
				if !bytes.Equal(p.Data, sent[i].Data) || p.Length != len(p.Data) || p.Link != capture.LinkEthernet {
					t.Errorf("%s: packet %d: %+v", name, i, p)
				}
				if off := sent[i].At.Sub(p.At); exact[name] != 0 && (off < 0 || off >= exact[name]) || exact[name] == 0 && !p.At.IsZero() {
					t.Errorf("%s: packet %d: %v, want %v", name, i, p.At, sent[i].At)
				}
			}
		}
	}
}

// A file that is cut anywhere gives the packets before the cut, and an error that says where, unless the cut is between two.
func TestCutAnywhere(t *testing.T) {
	all, _ := files(packets(4))
	for name, file := range all {
		whole, _ := readAll(bytes.NewReader(file))
		for cut := range file {
			got, err := readAll(bytes.NewReader(file[:cut]))
			var broken *capture.Broken
			switch {
			case errors.As(err, &broken):
				if broken.Offset < 0 || broken.Offset > int64(cut) || !strings.Contains(broken.Reason, "ends inside") {
					t.Fatalf("%s cut at %d: %v", name, cut, err)
				}
			case errors.Is(err, io.EOF), cut < 4 && errors.Is(err, capture.ErrNotCapture):
			default:
				t.Fatalf("%s cut at %d: %v", name, cut, err)
			}
			if len(got) >= len(whole) || len(got) > 0 && cmp.Diff(whole[:len(got)], got) != "" {
				t.Fatalf("%s cut at %d: %d packets that are not the first ones", name, cut, len(got))
			}
		}
	}
}

// Whatever a byte is changed to, what stands before it stays good and reading ends.
func TestDamage(t *testing.T) {
	all, _ := files(packets(4))
	rapid.Check(t, func(t *rapid.T) {
		file := rapid.SampledFrom(slices.Sorted(func(yield func(string) bool) {
			for name := range all {
				if !yield(name) {
					return
				}
			}
		})).Draw(t, "format")
		data := slices.Clone(all[file])
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			data[rapid.IntRange(0, len(data)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "to")
		}
		if _, err := readAll(bytes.NewReader(data)); err == nil {
			t.Fatal("reading does not end")
		}
	})
}

func TestErrorsNameThePlace(t *testing.T) {
	pcap := capturetest.Pcap(binary.LittleEndian, false, capture.LinkEthernet, packets(2))
	pcapng := capturetest.Section(binary.LittleEndian, capturetest.Enhanced, 6, capture.LinkEthernet, packets(2))
	with := func(file []byte, at int, b ...byte) []byte {
		file = slices.Clone(file)
		copy(file[at:], b)
		return file
	}
	for _, tt := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", nil, "not a capture file"},
		{"text", []byte("GET / HTTP/1.1\r\n\r\n"), "not a capture file"},
		{"another version", with(pcap, 4, 9), "broken at byte 0: pcap version 9"},
		{"a giant packet", with(pcap, 24+8, 255, 255, 255, 255), "broken at byte 24: a packet of 4294967295 bytes"},
		{"no byte order", with(pcapng, 8, 0), "without the magic number"},
		{"lengths that differ", with(pcapng, 40, 9), "broken at byte 0: a block that says 44 bytes at its start and 9 at its end"},
		{"a length that is too small", with(pcapng, 44+4, 8), "broken at byte 44: a block of 8 bytes"},
	} {
		if _, err := readAll(bytes.NewReader(tt.file)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	sick := errors.New("the disk is sick")
	if _, err := readAll(io.MultiReader(bytes.NewReader(pcap[:30]), iotest.ErrReader(sick))); !errors.Is(err, sick) {
		t.Errorf("an error of the disk becomes %v", err)
	}
}

func TestEveryLinkType(t *testing.T) {
	for _, ip := range [][]byte{capturetest.UDP(at4, to4, []byte("four")), capturetest.UDP(at6, to6, []byte("six"))} {
		for _, link := range capturetest.Links() {
			frame := capturetest.Frame(link, ip)
			if got, err := capture.Network(link, frame); err != nil || !bytes.Equal(got, ip) {
				t.Errorf("%s (%d): %x, %v", link, link, got, err)
			}
			for cut := range len(frame) - len(ip) { // a frame without its packet
				if got, err := capture.Network(link, frame[:cut]); err == nil {
					t.Errorf("%s cut at %d: %x", link, cut, got)
				}
			}
		}
		for name, frame := range capturetest.Encapsulated(ip) {
			if got, err := capture.Network(capture.LinkEthernet, frame); err != nil || !bytes.Equal(got, ip) {
				t.Errorf("%s: %x, %v", name, got, err)
			}
		}
	}
	arp := append(make([]byte, 12), 8, 6, 0, 1)
	if _, err := capture.Network(capture.LinkEthernet, arp); !errors.Is(err, capture.ErrNotIP) {
		t.Errorf("ARP: %v", err)
	}
	if _, err := capture.Network(189, arp); !errors.Is(err, capture.ErrLinkType) {
		t.Errorf("USB: %v", err)
	}
}

func TestFragments(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, whole := range [][]byte{capturetest.UDP(at4, to4, bytes.Repeat([]byte("0123456789"), 400)), capturetest.UDP(at6, to6, bytes.Repeat([]byte("0123456789"), 400))} {
		if whole[0]>>4 == 4 {
			whole[5] = 77 // the number that its fragments have
		}
		rapid.Check(t, func(t *rapid.T) {
			pieces := capturetest.Fragments(whole, 77, 8*rapid.IntRange(10, 200).Draw(t, "words"))
			order := make([]int, len(pieces), len(pieces)+1)
			for i := range order {
				order[i] = i
			}
			order = rapid.Permutation(order).Draw(t, "order")
			order = slices.Insert(order, rapid.IntRange(0, len(order)-1).Draw(t, "twice at"), order[0]) // and one of them twice
			r := capture.NewReassembler()
			var got capture.Datagram
			count, bytesSent := 0, 0
			for _, i := range order {
				p := pieces[i]
				d, ok := r.Add(p, now, len(p)+14)
				count, bytesSent = count+1, bytesSent+len(p)+14
				if ok {
					got = d
					break
				}
			}
			if !bytes.Equal(got.IP, whole) || got.Packets != count || got.Bytes != bytesSent {
				t.Fatalf("%d bytes of %d, %d packets of %d", len(got.IP), len(whole), got.Packets, count)
			}
		})
	}
}

func TestFragmentsThatNeverComeAreBounded(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	whole := capturetest.UDP(at4, to4, bytes.Repeat([]byte("x"), 4000))
	r := capture.NewReassembler()
	ended := 0
	for id := range uint32(2000) {
		first := capturetest.Fragments(whole, id, 800)[:2]
		for _, p := range first {
			if _, ok := r.Add(p, now, len(p)); ok {
				t.Fatal("a piece is taken for the whole")
			}
		}
		for d, ok := r.Expired(now, false); ok; d, ok = r.Expired(now, false) {
			if ended++; len(d.IP) != 20+1600 || d.Packets != 2 {
				t.Fatalf("the start has %d bytes of %d packets", len(d.IP), d.Packets)
			}
		}
	}
	if ended < 1700 {
		t.Errorf("only %d of 2000 gave way", ended)
	}
	for _, ok := r.Expired(now.Add(time.Minute), false); ok; _, ok = r.Expired(now.Add(time.Minute), false) {
		ended++
	}
	if ended != 2000 {
		t.Errorf("%d of 2000 ended", ended)
	}
}

func FuzzReader(f *testing.F) {
	all, _ := files(packets(3))
	for _, file := range all {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		records, err := readAll(bytes.NewReader(file))
		if err == nil {
			t.Fatal("reading does not end")
		}
		if len(records) > len(file)/16 {
			t.Fatalf("%d packets out of %d bytes", len(records), len(file))
		}
	})
}

func FuzzNetwork(f *testing.F) {
	ip := capturetest.UDP(at4, to4, []byte("seed"))
	for _, link := range capturetest.Links() {
		f.Add(uint32(link), capturetest.Frame(link, ip))
	}
	for _, frame := range capturetest.Encapsulated(ip) {
		f.Add(uint32(capture.LinkEthernet), frame)
	}
	for _, piece := range capturetest.Fragments(capturetest.UDP(at6, to6, make([]byte, 100)), 1, 48) {
		f.Add(uint32(capture.LinkRaw), piece)
	}
	f.Fuzz(func(t *testing.T, link uint32, frame []byte) {
		ip, err := capture.Network(capture.LinkType(link), frame)
		if err == nil && (len(ip) == 0 || len(ip) > len(frame)) {
			t.Fatalf("%d bytes out of %d", len(ip), len(frame))
		}
		r := capture.NewReassembler()
		for range 2 {
			r.Add(ip, time.Time{}, len(ip))
		}
		for _, ok := r.Expired(time.Time{}, true); ok; _, ok = r.Expired(time.Time{}, true) {
		}
	})
}
