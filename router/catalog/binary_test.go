package catalog

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/trenza-router/trenza/router/flow"
)

var comparePrefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func TestEncodeAndDecode(t *testing.T) {
	c := mustLoad(t, "")
	again, err := Decode(string(c.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c.Apps(), again.Apps(), comparePrefixes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(c.Categories(), again.Categories()); diff != "" {
		t.Error(diff)
	}
	if c.Version() != again.Version() || c.Version() < 2026000000 {
		t.Errorf("version %d became %d", c.Version(), again.Version())
	}
}

// small is a catalogue with one of everything.
func small(t testing.TB) *Catalog {
	t.Helper()
	c, err := assemble(7, []Category{{ID: "video", Names: Names{"a", "b", "c"}}}, []App{{
		ID: "x", Names: Names{"x", "y", "z"}, Category: "video",
		Domains: []Domain{{"x.example", false}, {"www.x.example", true}}, Protocols: []string{"stun"},
		Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
		Ports:    []Ports{{flow.ProtoUDP, 5, 9}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDamageIsNoticed: no byte can be changed, lost or added.
func TestDamageIsNoticed(t *testing.T) {
	good := string(small(t).Encode())
	for i := range good {
		bad := []byte(good)
		bad[i] ^= 0x20
		if _, err := Decode(string(bad)); !errors.Is(err, ErrNotCatalogue) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := Decode(good[:i]); !errors.Is(err, ErrNotCatalogue) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := Decode(good + "\x00"); !errors.Is(err, ErrNotCatalogue) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestDecodeSaysWhatIsWrong(t *testing.T) {
	good := small(t).Encode()
	later := []byte(strings.Clone(string(good)))
	later[9]++
	for _, tt := range []struct{ name, data, want string }{
		{"empty", "", "0 bytes are too few"},
		{"a page of a captive portal", "<html>" + strings.Repeat(" ", 100), "does not begin as one"},
		{"later form", string(later), "update the program"},
		{"cut off", string(good[:len(good)-3]), "it was cut off"},
		{"two categories of nothing", string(seal(1, []byte{2, 1})), "a list is longer"},
		{"overflow", string(seal(1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})), "too large"},
		{"trailing", string(seal(1, []byte{0, 0, 0})), "something follows"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Decode(tt.data)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// FuzzDecode gives the payload past the checksum, which no stranger could forge but a maintainer's mistake could make.
func FuzzDecode(f *testing.F) {
	f.Add(string(small(f).Encode()[headerSize:]))
	f.Fuzz(func(t *testing.T, payload string) {
		if c, err := Decode(payload); err == nil {
			t.Fatalf("a payload without a header is a catalogue: %v", c.Version())
		}
		c, err := decodePayload(1, payload)
		if err != nil {
			return
		}
		again, err := Decode(string(c.Encode()))
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if string(again.Encode()) != string(c.Encode()) {
			t.Fatal("reading and writing again changes it")
		}
		c.AppOf("www.example.com")
	})
}
