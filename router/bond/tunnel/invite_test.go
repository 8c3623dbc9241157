package tunnel

import (
	"crypto/rand"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trenza-router/trenza/router/bond/https"
	"github.com/trenza-router/trenza/router/bond/seal"
)

func anInvite(t testing.TB) Invite {
	t.Helper()
	self, err := seal.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i, err := NewInvite(self.Public(), []netip.AddrPort{netip.MustParseAddrPort("198.51.100.7:51900"), netip.MustParseAddrPort("[2001:db8::7]:443")}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestInviteSurvivesCopying(t *testing.T) {
	for _, web := range []Web{{}, {Port: 443, Trust: https.Trust{Pin: [32]byte{5, 6}}}, {Port: 8443, Trust: https.Trust{Name: "www.example.org"}}} {
		want := anInvite(t)
		want.Web = web
		survives(t, want)
	}
}

func survives(t *testing.T, want Invite) {
	t.Helper()
	code := want.Code()
	for name, text := range map[string]string{
		"as it is":  code,
		"small":     strings.ToLower(code),
		"in groups": code[:20] + " " + code[20:40] + "-" + code[40:60] + "\n" + code[60:] + "\r\n",
	} {
		got, err := ParseInvite(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestWrongInvite: each way to copy a code wrongly has a message that says what to do.
func TestWrongInvite(t *testing.T) {
	code := anInvite(t).Code()
	swap := func(i int) string {
		c := byte('A')
		if code[i] == c {
			c = 'B'
		}
		return code[:i] + string(c) + code[i+1:]
	}
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":      {"", "begins with"},
		"a word":       {"hello", "begins with"},
		"cut short":    {code[:40], "cut off"},
		"cut late":     {code[:len(code)-2], "copied"},
		"a letter":     {swap(30), "not copied right"},
		"a newer one":  {"TRENZA3-" + code[8:], "another version"},
		"without web":  {"TRENZA2-" + code[8:], "not copied right"},
		"much too big": {code + strings.Repeat("A", 1000), "not copied right"},
	} {
		if _, err := ParseInvite(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want words with %q", name, err, tt.want)
		}
	}
}

func FuzzParseInvite(f *testing.F) {
	f.Add(anInvite(f).Code())
	f.Add("TRENZA1-")
	web := anInvite(f)
	web.Web = Web{Port: 443, Trust: https.Trust{Name: "www.example.org"}}
	f.Add(web.Code())
	f.Fuzz(func(t *testing.T, text string) {
		i, err := ParseInvite(text)
		if err != nil {
			return
		}
		again, err := ParseInvite(i.Code())
		if err != nil || again.Seed != i.Seed || again.Relay != i.Relay || again.Web != i.Web {
			t.Errorf("%q reads as something else when written again: %v", text, err)
		}
	})
}

func FuzzParseMessage(f *testing.F) {
	f.Add(AppendMessage(nil, Ask{}))
	f.Add(AppendMessage(nil, Closed(3)))
	f.Add(AppendMessage(nil, &Settings{IPv4: netip.MustParseAddr("10.91.0.2"), IPv6: netip.MustParseAddr("fd00::2"), MTU: 1400}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMessage(b)
		if err != nil || m == nil {
			return
		}
		again, err := ParseMessage(AppendMessage(nil, m))
		if d := cmp.Diff(m, again, cmpopts.EquateComparable(netip.Addr{})); err != nil || d != "" {
			t.Errorf("%x reads as something else when written again: %v %s", b, err, d)
		}
	})
}
