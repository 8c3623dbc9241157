package linux

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
)

const namesTable = `table inet trenza {
	map names4 {
		type mark . ipv4_addr : mark
		size 65536
		flags timeout
	}
	set nets {
		type ipv4_addr
		flags interval
		elements = { 10.0.0.0/8 }
	}
	set ifs {
		type ifname
		elements = { "lo" }
	}
	map wait {
		type ipv4_addr : mark
		timeout 1h
	}
}
`

func name(device uint32, n int, value uint32, timeout time.Duration, comment string) hal.Element {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 0x0a000000+uint32(n))
	return hal.Element{Key: hal.ElementKey(device, netip.AddrFrom4(a)), Value: value, Timeout: timeout, Comment: comment}
}

func load(t *testing.T, m *Machine, text string) {
	t.Helper()
	if err := m.Load(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

// nft must show what was written over netlink as a person would have written it.
func TestNftShowsElements(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		m := newMachine(t)
		load(t, m, namesTable)
		if err := m.SetElements(t.Context(), "names4", []hal.Element{name(0x10, 1, 0x80000005, time.Hour, "video.example")}); err != nil {
			t.Fatal(err)
		}
		got := run(t, "nft list map inet trenza names4")
		for _, want := range []string{"0x00000010 . 10.0.0.1", "timeout 1h", `comment "video.example"`, ": 0x80000005"} {
			if !strings.Contains(got, want) {
				t.Errorf("the listing lacks %q:\n%s", want, got)
			}
		}
		// And the other way round: what nft wrote reads back.
		run(t, `nft add element inet trenza names4 { 0x20 . 10.0.0.2 timeout 2h comment "by-hand" : 0x7 }`)
		all, err := m.Elements(t.Context(), "names4")
		if err != nil {
			t.Fatal(err)
		}
		want := []hal.Element{name(0x10, 1, 0x80000005, time.Hour, "video.example"), name(0x20, 2, 7, 2*time.Hour, "by-hand")}
		if diff := cmp.Diff(want, all, cmpopts.IgnoreFields(hal.Element{}, "Expires"), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Error(diff)
		}
	})
}

func TestElementsOfOtherKinds(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		m := newMachine(t)
		load(t, m, namesTable)
		for _, set := range []string{"nets", "ifs"} {
			if _, err := m.Elements(t.Context(), set); !errors.Is(err, hal.ErrUnsupported) {
				t.Errorf("elements of %s: %v", set, err)
			}
		}
		e := hal.Element{Key: hal.ElementKey(netip.MustParseAddr("192.0.2.1")), Value: 1}
		if err := m.SetElements(t.Context(), "nets", []hal.Element{{Key: e.Key}}); !errors.Is(err, hal.ErrUnsupported) {
			t.Errorf("an element of a set of ranges: %v", err)
		}
		if err := m.SetElements(t.Context(), "wait", []hal.Element{e}); err != nil {
			t.Fatal(err)
		}
		all, err := m.Elements(t.Context(), "wait")
		if err != nil || len(all) != 1 || all[0].Timeout != time.Hour || all[0].Expires <= 0 {
			t.Errorf("an element of a set with a default timeout: %+v, %v", all, err)
		}
	})
}

// The way of kernels before 6.3 must give the same results, also while elements expire under its hands.
func TestReplaceWithoutDestroy(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		m := newMachine(t)
		m.noDestroy.Store(true)
		load(t, m, namesTable)
		write := func(value uint32) {
			t.Helper()
			batch := []hal.Element{
				name(1, 1, value, time.Hour, "kept"),
				name(2, 2, value, 0, ""),
				name(3, int(value), value, time.Millisecond, "short"), // gone at any moment
				name(3, 1_000_000, value, 5*time.Millisecond, "short"),
			}
			if err := m.SetElements(t.Context(), "names4", batch); err != nil {
				t.Fatal(err)
			}
		}
		for i := range uint32(300) {
			write(i)
		}
		if err := m.DeleteElements(t.Context(), "names4", []hal.Element{name(2, 2, 0, 0, ""), name(9, 9, 0, 0, "")}); err != nil {
			t.Fatal(err)
		}
		all, err := m.Elements(t.Context(), "names4")
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 0 || all[0].Comment != "kept" || all[0].Value != 299 {
			t.Errorf("after replacing 300 times: %+v", all)
		}
		for _, e := range all[1:] {
			if e.Comment != "short" {
				t.Errorf("left: %+v", e)
			}
		}
	})
}

// A kernel that does not know the request answers EINVAL; the machine must then remember the other way.
func TestDestroyIsKnown(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		m := newMachine(t)
		load(t, m, namesTable)
		if err := m.SetElements(t.Context(), "names4", []hal.Element{name(1, 1, 1, time.Hour, "")}); err != nil {
			t.Fatal(err)
		}
		caps, err := m.Capabilities(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range caps {
			if c.Name == "nft-destroy" && c.Present == m.noDestroy.Load() {
				t.Errorf("the probe says %v, the editor goes without: %v", c.Present, m.noDestroy.Load())
			}
		}
	})
}

// Writers, readers and loads at once: none may fail, and no reader may miss an element that stays.
func TestElementsConcurrently(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		m := newMachine(t)
		load(t, m, namesTable)
		const stay = 3000
		batch := make([]hal.Element, stay)
		for i := range batch {
			batch[i] = name(1, i, 1, time.Hour, "stays")
		}
		if err := m.SetElements(t.Context(), "names4", batch); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		do := func(n int, f func(i int) error) {
			all.Go(func() {
				for i := range n {
					if err := f(i); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for w := range 3 {
			do(500, func(i int) error {
				return m.SetElements(t.Context(), "names4", []hal.Element{name(uint32(2+w), i, uint32(i), time.Hour, "comes")})
			})
		}
		do(20, func(int) error { return m.Load(t.Context(), "table inet trenza {\n\tchain spare {\n\t}\n}\n") })
		do(20, func(int) error { _, err := m.Fingerprint(t.Context()); return err })
		do(10, func(int) error {
			l, err := m.Elements(t.Context(), "names4")
			n := 0
			for _, e := range l {
				if e.Comment == "stays" {
					n++
				}
			}
			if err == nil && n != stay {
				t.Errorf("a reader saw %d of %d elements", n, stay)
			}
			return err
		})
		all.Wait()
	})
}

// A full map in one call, and many of its elements replaced in another.
func TestLargestBatch(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) { fillMap(t, 65536) })
}

// In a user namespace the socket's buffer cannot be enlarged: the batch is halved until it fits.
func TestLargestBatchInUserNamespace(t *testing.T) {
	t.Parallel()
	haltest.InUserNamespace(t, func(t *testing.T) { fillMap(t, 5000) })
}

// fillMap makes a map of a size full. The 5,000 elements that it replaces take 900 KB in a transaction; an ordinary
// socket takes 416 KiB, an attribute 64 KiB.
func fillMap(t *testing.T, size int) {
	m := newMachine(t)
	load(t, m, strings.Replace(namesTable, "size 65536", fmt.Sprint("size ", size), 1))
	batch := make([]hal.Element, size)
	for i := range batch {
		batch[i] = name(1, i, uint32(i), time.Hour, "")
	}
	some := make([]hal.Element, 5000)
	for i := range some {
		some[i] = name(1, i, uint32(i)+1, 2*time.Hour, strings.Repeat("x", 100))
	}
	for _, b := range [][]hal.Element{batch, some} {
		if err := m.SetElements(t.Context(), "names4", b); err != nil {
			t.Fatal(err)
		}
	}
	all, err := m.Elements(t.Context(), "names4")
	if err != nil || len(all) != size {
		t.Fatalf("%d of %d elements, %v", len(all), size, err)
	}
	for i, e := range all {
		want := batch[i]
		if i < len(some) {
			want = some[i]
		}
		if !reflect.DeepEqual(e.Key, want.Key) || e.Value != want.Value || e.Timeout != want.Timeout || e.Comment != want.Comment {
			t.Fatalf("element %d is %+v, want %+v", i, e, want)
		}
	}
	full := m.SetElements(t.Context(), "names4", []hal.Element{name(2, 1, 1, time.Hour, "")})
	if !errors.Is(full, hal.ErrRefused) || !strings.Contains(full.Error(), "full") {
		t.Errorf("one more than fit: %v", full)
	}
}

func FuzzReadElement(f *testing.F) {
	value := func(kind uint16, b []byte) []byte {
		return appendAttribute(nil, kind, appendAttribute(nil, dataValue, b))
	}
	good := append(value(1, []byte{1, 0, 0, 0, 192, 0, 2, 1}), value(2, []byte{5, 0, 0, 0})...)
	good = appendAttribute(good, 4, []byte{0, 0, 0, 0, 0, 0, 3, 232})
	f.Add(appendAttribute(good, 6, append([]byte{0, 6}, "hello\x00"...)))
	f.Add(appendAttribute(good, 6, []byte{0, 255, 'x'}))
	f.Add([]byte{4, 0, 1, 0, 5, 0})
	s := &elementSet{key: keyType{kindMark, kindIPv4}, isMap: true, hasTimeout: true}
	f.Fuzz(func(t *testing.T, b []byte) {
		raw := readElement(b)
		e, err := s.decode(raw)
		if err != nil || len(e.Comment) > maxComment || e.Timeout < 0 {
			return
		}
		again, err := s.encode([]hal.Element{e})
		if err != nil || !bytes.Equal(again[0].key, raw.key) || again[0].value != raw.value {
			t.Fatalf("%+v, written: %+v, %v", e, again, err)
		}
		if read := readElement(s.appendElement(nil, again[0])); again[0].comment == raw.comment && !reflect.DeepEqual(read, again[0]) {
			t.Errorf("%+v was written and read as %+v", again[0], read)
		}
	})
}

func FuzzReadSet(f *testing.F) {
	number := func(kind uint16, n uint32) []byte {
		return appendAttribute(nil, kind, binary.BigEndian.AppendUint32(nil, n))
	}
	f.Add(slices.Concat(number(3, 8), number(4, 19<<6|7), number(5, 8), number(6, 19), number(7, 4)))
	f.Add(slices.Concat(number(4, 0xffffffff), number(5, 20)))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readSet("s", b)
		if err != nil {
			return
		}
		if key, err := s.key.split(make([]byte, s.key.length())); err != nil || len(key) != len(s.key) || len(key) > maxParts {
			t.Errorf("an empty key of type %s: %v, %v", s.key, key, err)
		}
	})
}
