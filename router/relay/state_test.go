package relay

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/bond/seal"
)

// TestInviteIsGoodOnce: the first key that proves it has the invite is the router; who stole it and comes later, or comes too late, is nobody.
func TestInviteIsGoodOnce(t *testing.T) {
	now := time.Unix(1e9, 0)
	dir := t.TempDir()
	s, err := OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenState(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("a state that is in use: %v", err)
	}
	c, err := Parse("", []byte("pool: [10.9.0.0/30]"))
	if err != nil {
		t.Fatal(err)
	}
	public := []netip.AddrPort{netip.MustParseAddrPort("198.51.100.7:51900")}
	i, err := s.Invite("home", public, time.Hour, Limit{Down: 1e6}, now)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(s.file); err != nil || strings.Contains(string(text), i.Code()) {
		t.Errorf("the code is on the relay's disk: %v", err)
	}
	if _, err := s.join(i.Ticket(), seal.Key{1}, 7, c.Pool, now.Add(2*time.Hour)); err == nil {
		t.Error("an invite that is too old is in force")
	}
	j, err := s.join(i.Ticket(), seal.Key{1}, 7, c.Pool, now)
	if err != nil || j.IPv4 != netip.MustParseAddr("10.9.0.2") {
		t.Fatalf("%+v, %v", j, err)
	}
	if _, err := s.join(i.Ticket(), seal.Key{2}, 7, c.Pool, now); err == nil {
		t.Error("an invite was used twice")
	}
	if _, err := s.Invite("home", public, time.Hour, Limit{}, now); err == nil {
		t.Error("a second router of the same name was invited")
	}
	other, err := s.Invite("other", public, time.Hour, Limit{}, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.join(other.Ticket(), seal.Key{3}, 0, c.Pool, now); err == nil || !strings.Contains(err.Error(), "no address left") {
		t.Errorf("a full pool: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if r := again.router(seal.Key{1}); r == nil || r.IPv4 != j.IPv4 || r.Count != 7 || r.Limit.Down != 1e6 {
		t.Errorf("after a restart: %+v", r)
	}
	if k, err := again.Revoke("home"); err != nil || k != (seal.Key{1}) || again.router(k) != nil {
		t.Errorf("revoked: %v, %v", k, err)
	}
	if _, err := again.Revoke("home"); err == nil {
		t.Error("who is gone was revoked again")
	}
}

func TestRules(t *testing.T) {
	c, err := Parse("", []byte("pool: [10.9.0.0/24]\nforwards: [{router: home, proto: tcp, port: 8443, to: 443}, {router: away, proto: udp, port: 1}]"))
	if err != nil {
		t.Fatal(err)
	}
	want := `table inet trenza_relay
delete table inet trenza_relay
table inet trenza_relay {
	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname "trenza-relay" oifname "trenza-relay" drop
		oifname "trenza-relay" tcp flags syn tcp option maxseg size set rt mtu
		iifname "trenza-relay" tcp flags syn tcp option maxseg size set rt mtu
	}
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		iifname != "trenza-relay" meta nfproto ipv4 tcp dport 8443 dnat ip to 10.9.0.2:443
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname != "trenza-relay" ip saddr 10.9.0.0/24 masquerade
	}
}
`
	if d := cmp.Diff(want, rules(&c, []Joined{{Name: "home", IPv4: netip.MustParseAddr("10.9.0.2")}})); d != "" {
		t.Error(d)
	}
}

func TestLimit(t *testing.T) {
	b := newBucket(8e6) // a million bytes a second, bursts of 100,000
	passed := 0
	for at := time.Duration(0); at < time.Second; at += time.Millisecond {
		for range 2 {
			if b.take(1000, at) {
				passed += 1000
			}
		}
	}
	if passed < 1_050_000 || passed > 1_150_000 {
		t.Errorf("%d bytes passed in a second", passed)
	}
}

func TestConfigMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"listen: [here]": "listen", "pool: [10.0.0.1/8]": "no network", "pool: [10.0.0.0/8, 11.0.0.0/8]": "one network of each family",
		"pool: [10.0.0.0/31]": "no room", "mtu: 9": "mtu", "forwards: [{router: a, proto: icmp, port: 1}]": "tcp or udp",
		"forwards: [{router: a, proto: tcp}]": "port", "lisen: [':1']": "lisen",
		"forwards: [{router: a, proto: tcp, port: 1}, {router: b, proto: tcp, port: 1}]": "twice",
	} {
		if _, err := Parse("relay.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want words with %q", text, err, want)
		}
	}
}
