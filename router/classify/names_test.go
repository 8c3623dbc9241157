package classify

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"pgregory.net/rapid"
)

var (
	epoch  = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	cdn    = netip.MustParseAddr("203.0.113.10")
	cdn6   = netip.MustParseAddr("2001:db8::10")
	client = netip.MustParseAddr("10.77.0.20")
)

// world is a memory together with what the kernel's maps hold because of it.
type world struct {
	*Names
	in     *Interner
	kernel map[string]map[string]hal.Element
}

func newWorld(t testing.TB) *world {
	c := testCatalog(t)
	in := NewInterner(c)
	return &world{Names: NewNames(c, in), in: in, kernel: map[string]map[string]hal.Element{}}
}

func (w *world) apply(c Changes) Changes {
	for set, elems := range c.Delete {
		for _, e := range elems {
			delete(w.kernel[set], fmt.Sprint(e.Key))
		}
	}
	for set, elems := range c.Set {
		if w.kernel[set] == nil {
			w.kernel[set] = map[string]hal.Element{}
		}
		for _, e := range elems {
			w.kernel[set][fmt.Sprint(e.Key)] = e
		}
	}
	return c
}

// lines prints the kernel's maps: "names4 16 203.0.113.10 youtube www.youtube.com".
func (w *world) lines() []string {
	var out []string
	for set, elems := range w.kernel {
		for _, e := range elems {
			info, _ := w.in.Class(flow.Label(e.Value).NameClass())
			key := strings.Trim(fmt.Sprint(e.Key), "[]")
			out = append(out, fmt.Sprintf("%s %s %s %s", set, key, info.App, e.Comment))
		}
	}
	slices.Sort(out)
	return out
}

func (w *world) expect(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.lines()); diff != "" {
		t.Errorf("kernel maps: %s", diff)
	}
}

func key(addr netip.Addr, port uint16) flow.Key {
	return flow.Key{Proto: flow.ProtoTCP, Src: netip.AddrPortFrom(client, 40000), Dst: netip.AddrPortFrom(addr, port)}
}

func finding(addr netip.Addr, host string) dpi.Finding {
	return dpi.Finding{Key: key(addr, 443), Source: dpi.SourceTLS, Host: host}
}

func (w *world) is(t *testing.T, device flow.DeviceID, k flow.Key, at time.Time, app string, confidence int) {
	t.Helper()
	id := w.Identify(device, k, at)
	if id.App != app || id.Confidence != confidence || id.Reason == "" {
		t.Errorf("device %d, %s: got %+v, want %q at %d", device, k, id, app, confidence)
	}
}

func TestDNSNamesAreOfOneDevice(t *testing.T) {
	w := newWorld(t)
	c := w.apply(w.LearnDNS(1, "WWW.YouTube.com.", []netip.Addr{cdn, cdn6, netip.MustParseAddr("127.0.0.1"), {}}, time.Minute, epoch))
	w.apply(w.LearnDNS(2, "www.bbva.es", []netip.Addr{cdn}, time.Minute, epoch))
	w.expect(t, "names4 16 203.0.113.10 youtube www.youtube.com", "names4 32 203.0.113.10 bbva www.bbva.es", "names6 16 2001:db8::10 youtube www.youtube.com")
	if e := c.Set[Names4][0]; e.Timeout != minNameLife || flow.Label(e.Value) != w.in.Label("www.youtube.com") {
		t.Errorf("element %+v", e)
	}
	w.is(t, 1, key(cdn, 443), epoch, "youtube", sureDNS)
	w.is(t, 2, key(cdn, 443), epoch, "bbva", sureDNS)
	w.is(t, 3, key(cdn, 443), epoch, "", surePort)
	w.is(t, 1, key(cdn, 443), epoch.Add(time.Hour), "", surePort)
	if c := w.LearnDNS(1, "www.youtube.com", []netip.Addr{cdn}, time.Minute, epoch.Add(time.Minute)); !c.Empty() {
		t.Errorf("what the kernel knows is told again: %+v", c)
	}
	if c := w.LearnDNS(1, "www.youtube.com", []netip.Addr{cdn}, time.Minute, epoch.Add(10*time.Minute)); c.Empty() {
		t.Error("an entry that soon ends is not renewed")
	}
	w.apply(w.LearnDNS(1, "zoom.us", []netip.Addr{cdn}, time.Minute, epoch.Add(time.Minute)))
	w.is(t, 1, key(cdn, 443), epoch.Add(time.Minute), "zoom", sureMixed) // the latest answer wins
	if c := w.LearnDNS(1, "not a name", []netip.Addr{cdn}, time.Minute, epoch); !c.Empty() {
		t.Errorf("learned %+v", c)
	}
	w.apply(w.Forget(1))
	w.expect(t, "names4 32 203.0.113.10 bbva www.bbva.es")
}

func TestWireTeachesEveryoneUntilAnAddressIsShared(t *testing.T) {
	w := newWorld(t)
	w.apply(w.LearnWire(1, finding(cdn, "www.netflix.com"), epoch))
	w.expect(t, "learned4 203.0.113.10 tcp 443 netflix www.netflix.com", "names4 16 203.0.113.10 netflix www.netflix.com")
	w.is(t, 1, key(cdn, 443), epoch, "netflix", sureWire)
	other := key(cdn, 443)
	other.Src = netip.AddrPortFrom(client, 40001)
	w.is(t, 1, other, epoch, "netflix", sureSeen)
	w.is(t, 2, other, epoch, "netflix", sureLearned)
	w.is(t, 2, key(cdn, 8443), epoch, "", surePort)

	w.apply(w.LearnDNS(3, "download.windowsupdate.com", []netip.Addr{cdn}, time.Minute, epoch))
	w.expect(t, "names4 48 203.0.113.10 windows-update download.windowsupdate.com") // what was only seen is forgotten
	w.is(t, 1, other, epoch, "", surePort)
	w.is(t, 2, other, epoch, "", surePort)
	w.is(t, 3, other, epoch, "windows-update", sureDNS)
	if c := w.LearnWire(4, finding(cdn, "www.netflix.com"), epoch); !c.Empty() {
		t.Errorf("a shared address is taught: %+v", c)
	}
	later := epoch.Add(sharedLife + time.Hour)
	if c := w.LearnWire(4, finding(cdn, "www.netflix.com"), later); len(c.Set[Learned4]) != 1 {
		t.Error("an address stays shared for ever")
	}
}

func TestWireDoesNotOverrideTheLatestAnswer(t *testing.T) {
	w := newWorld(t)
	w.apply(w.LearnDNS(1, "www.bbva.es", []netip.Addr{cdn}, time.Minute, epoch))
	w.apply(w.LearnWire(1, finding(cdn, "www.youtube.com"), epoch))
	w.expect(t, "names4 16 203.0.113.10 bbva www.bbva.es")
	w.is(t, 1, key(cdn, 443), epoch, "youtube", sureWire)
	other := key(cdn, 443)
	other.Src = netip.AddrPortFrom(client, 40001)
	w.is(t, 1, other, epoch, "bbva", sureDNS)
}

func TestEncryptedHello(t *testing.T) {
	w := newWorld(t)
	front := finding(cdn, "www.youtube.com")
	front.ECH = true
	w.apply(w.LearnDNS(1, "www.bbva.es", []netip.Addr{cdn}, time.Minute, epoch))
	w.apply(w.LearnWire(1, front, epoch))
	w.is(t, 1, key(cdn, 443), epoch, "bbva", sureDNS)
	w.apply(w.LearnWire(2, front, epoch))
	w.is(t, 2, key(cdn, 443), epoch, "youtube", sureECH)
	w.expect(t, "names4 16 203.0.113.10 bbva www.bbva.es") // nobody is taught
	same := finding(cdn, "www.bbva.es")
	same.ECH = true
	w.apply(w.LearnWire(1, same, epoch))
	w.is(t, 1, key(cdn, 443), epoch, "bbva", sureWire)
}

// A browser sends an encrypted hello that is none (GREASE) with every connection, and two of its hosts can have one address: a name that the device
// asked for is no cover.
func TestEncryptedHelloWithAnAskedName(t *testing.T) {
	w := newWorld(t)
	w.apply(w.LearnDNS(1, "www.youtube.com", []netip.Addr{cdn}, time.Minute, epoch))
	w.apply(w.LearnDNS(1, "zoom.us", []netip.Addr{cdn}, time.Minute, epoch))
	hello := finding(cdn, "www.youtube.com")
	hello.ECH = true
	w.apply(w.LearnWire(1, hello, epoch))
	w.is(t, 1, key(cdn, 443), epoch, "youtube", sureWire)
	hello.Front = true // unless only fronts have that name
	w.apply(w.LearnWire(1, hello, epoch))
	w.is(t, 1, key(cdn, 443), epoch, "zoom", sureMixed)
}

func TestProtocols(t *testing.T) {
	w := newWorld(t)
	at := func(proto flow.Proto, port uint16) flow.Key {
		k := key(cdn, port)
		k.Proto = proto
		return k
	}
	said := func(p dpi.Protocol, host string) *dpi.Finding {
		return &dpi.Finding{Protocol: p, Confidence: 80, Host: host, Source: dpi.SourceTLS}
	}
	resolver := said(dpi.TLS, "abc123.dns.nextdns.io")
	for _, tt := range []struct {
		name       string
		key        flow.Key
		evidence   Evidence
		want       dpi.Protocol
		confidence int
	}{
		{"said", at(flow.ProtoTCP, 80), Evidence{Said: said(dpi.SSH, "")}, dpi.SSH, 80},
		{"by the port", at(flow.ProtoTCP, 22), Evidence{}, dpi.SSH, surePort},
		{"not by the port, when the start was read", at(flow.ProtoUDP, 53), Evidence{Refused: true}, dpi.Unknown, 0},
		{"QUIC after its hello", at(flow.ProtoUDP, 443), Evidence{Refused: true}, dpi.QUIC, surePort},
		{"by the IP header", at(flow.ProtoICMP, 0), Evidence{}, dpi.ICMP, sureWire},
		{"a port of no one", at(flow.ProtoTCP, 40123), Evidence{}, dpi.Unknown, 0},
		{"a public resolver", at(flow.ProtoTCP, 443), Evidence{Said: resolver}, dpi.DoH, sureWire},
		{"a public resolver at another port", at(flow.ProtoTCP, 8443), Evidence{Said: resolver}, dpi.TLS, sureWire},
	} {
		id := w.Judge(1, tt.key, tt.evidence, epoch)
		if id.Protocol != tt.want || id.Confidence != tt.confidence || id.Reason == "" {
			t.Errorf("%s: got %+v, want %s at %d", tt.name, id, tt.want, tt.confidence)
		}
	}
}

// What only one application speaks tells everyone that it is there, until a host's name tells more; the address itself is not shared by that.
func TestProtocolTeachesEveryone(t *testing.T) {
	w := newWorld(t)
	spoke := dpi.Finding{Key: key(cdn, 51413), Protocol: dpi.BitTorrent, Confidence: 95}
	w.apply(w.LearnWire(1, spoke, epoch))
	w.expect(t, "learned4 203.0.113.10 tcp 51413 bittorrent app:bittorrent")
	w.is(t, 1, key(cdn, 51413), epoch, "bittorrent", sureWire)
	other := key(cdn, 51413)
	other.Src = netip.AddrPortFrom(client, 40001)
	w.is(t, 2, other, epoch, "bittorrent", sureLearned)
	w.is(t, 2, key(cdn, 51414), epoch, "", 0)

	again := newWorld(t) // a restart
	again.kernel = w.kernel
	for _, e := range w.kernel[Learned4] {
		if c := again.Adopt(Learned4, []hal.Element{e}, epoch); !c.Empty() {
			t.Errorf("adopting changes %+v", c)
		}
	}
	again.is(t, 2, other, epoch, "bittorrent", sureLearned)

	spoke.Confidence, spoke.Key = 60, key(cdn, 51415)
	if c := w.LearnWire(1, spoke, epoch); !c.Empty() {
		t.Errorf("a guess is taught: %+v", c)
	}
	w.apply(w.LearnWire(1, finding(cdn, "www.youtube.com"), epoch))
	named := finding(cdn, "www.youtube.com")
	named.Key = key(cdn, 51413)
	w.apply(w.LearnWire(1, named, epoch))
	spoke.Confidence, spoke.Key = 95, key(cdn, 51413)
	w.apply(w.LearnWire(1, spoke, epoch))
	w.expect(t, "learned4 203.0.113.10 tcp 443 youtube www.youtube.com", "learned4 203.0.113.10 tcp 51413 youtube www.youtube.com",
		"names4 16 203.0.113.10 youtube www.youtube.com")
}

// Without a kernel the same is known, and nobody is told.
func TestNamesAlone(t *testing.T) {
	c := testCatalog(t)
	n := NewNamesAlone(c, NewInterner(c))
	for _, changes := range []Changes{
		n.LearnDNS(1, "zoom.us", []netip.Addr{cdn6}, time.Minute, epoch),
		n.LearnWire(1, finding(cdn, "www.youtube.com"), epoch),
		n.LearnWire(1, finding(cdn, "zoom.us"), epoch),
		n.LearnWire(1, dpi.Finding{Key: key(cdn, 51413), Protocol: dpi.BitTorrent, Confidence: 95}, epoch),
	} {
		if !changes.Empty() {
			t.Errorf("told %+v", changes)
		}
	}
	if clue := n.Recall(1, key(cdn6, 443), epoch); clue.Host != "zoom.us" || !clue.FromDNS() {
		t.Errorf("%+v", clue)
	}
	if clue := n.Recall(1, key(cdn, 443), epoch); clue != (Clue{}) {
		t.Errorf("of a shared address: %+v", clue)
	}
}

// An address of a content network tells nothing about other flows to it, whoever was seen there.
func TestContentNetworksAreShared(t *testing.T) {
	w := newWorld(t)
	app, ok := w.catalog.Lookup("d111111abcdef8.cloudfront.net")
	if !ok || !app.Shared() {
		t.Fatalf("the catalogue has %+v", app)
	}
	w.apply(w.LearnWire(1, finding(cdn, "d111111abcdef8.cloudfront.net"), epoch))
	w.apply(w.LearnWire(1, finding(cdn, "www.youtube.com"), epoch))
	w.expect(t)
	w.is(t, 1, key(cdn, 443), epoch, "youtube", sureWire)
	w.is(t, 2, key(cdn, 8443), epoch, "", surePort)
}

func TestPrefixAndPortComeLast(t *testing.T) {
	w := newWorld(t)
	telegram := netip.MustParseAddr("149.154.167.50")
	w.is(t, 1, key(telegram, 25565), epoch, "telegram", surePrefix)
	w.is(t, 1, key(cdn, 25565), epoch, "minecraft", surePort)
	if id := w.Identify(1, key(telegram, 443), epoch); id.Class != w.in.AppClass("telegram") || id.Class == 0 {
		t.Errorf("class %d", id.Class)
	}
}

func TestRestartAdoptsWhatTheKernelKnows(t *testing.T) {
	w := newWorld(t)
	w.apply(w.LearnDNS(1, "www.youtube.com", []netip.Addr{cdn, cdn6}, time.Hour, epoch))
	w.apply(w.LearnWire(2, finding(netip.MustParseAddr("203.0.113.11"), "zoom.us"), epoch))
	w.in.SetSelectors([]policy.Domain{{Name: "youtube.com"}})
	before := w.lines()

	again := newWorld(t)
	again.in.SetSelectors([]policy.Domain{{Name: "youtube.com"}})
	again.kernel = w.kernel
	for _, set := range []string{Names4, Names6, Learned4, Learned6} {
		var elems []hal.Element
		for _, e := range w.kernel[set] {
			e.Expires = e.Timeout / 2
			elems = append(elems, e)
		}
		c := again.apply(again.Adopt(set, elems, epoch))
		wantChange := set == Names4 || set == Names6 // youtube has another class with the selector
		if (len(c.Set[set]) == 1) != wantChange || len(c.Delete) != 0 {
			t.Errorf("%s: %+v", set, c)
		}
	}
	if diff := cmp.Diff(before, again.lines()); diff != "" {
		t.Error(diff)
	}
	again.is(t, 1, key(cdn, 443), epoch, "youtube", sureDNS)
	again.is(t, 9, key(netip.MustParseAddr("203.0.113.11"), 443), epoch, "zoom", sureLearned)
	bad := []hal.Element{
		{Key: []hal.KeyPart{uint32(16), cdn}, Timeout: time.Hour, Comment: "not a name"},
		{Key: []hal.KeyPart{uint32(16), cdn6}, Timeout: time.Hour, Comment: "a.example"},
		{Key: []hal.KeyPart{"x"}, Timeout: time.Hour, Comment: "a.example"},
	}
	if c := again.Adopt(Names4, bad, epoch); len(c.Delete[Names4]) != 3 || len(c.Set) != 0 {
		t.Errorf("bad elements: %+v", c)
	}
}

func TestRelabelAndElements(t *testing.T) {
	w := newWorld(t)
	w.apply(w.LearnDNS(1, "www.youtube.com", []netip.Addr{cdn}, time.Hour, epoch))
	w.apply(w.LearnDNS(1, "a.example.org", []netip.Addr{cdn6}, time.Hour, epoch))
	w.apply(w.LearnWire(1, finding(netip.MustParseAddr("203.0.113.11"), "zoom.us"), epoch))
	if c := w.Relabel(epoch); !c.Empty() {
		t.Errorf("nothing changed, and yet %+v", c)
	}
	w.in.SetSelectors([]policy.Domain{{Name: "example.org"}})
	c := w.apply(w.Relabel(epoch))
	if len(c.Set[Names6]) != 1 || len(c.Set) != 1 || len(c.Delete) != 0 {
		t.Errorf("changes %+v", c)
	}
	have := w.lines()
	w.kernel = map[string]map[string]hal.Element{}
	w.apply(w.Elements(epoch))
	if diff := cmp.Diff(have, w.lines()); diff != "" {
		t.Errorf("after a flush: %s", diff)
	}
	if c := w.Elements(epoch.Add(48 * time.Hour)); !c.Empty() {
		t.Errorf("names live for ever: %+v", c)
	}
}

func TestLongNamesKeepTheirEndInTheComment(t *testing.T) {
	w := newWorld(t)
	host := strings.Repeat("abcdefghi.", 20) + "youtube.com"
	c := w.LearnDNS(1, host, []netip.Addr{cdn}, time.Hour, epoch)
	got := c.Set[Names4][0].Comment
	if len(got) > maxComment || !strings.HasSuffix(host, "."+got) || w.catalog.AppOf(got) != "youtube" {
		t.Errorf("comment %q of %d bytes", got, len(got))
	}
}

// Whatever happens, the kernel's maps equal what a flush and refill would give, and stay in their bounds.
func TestKernelAgreesWithMemory(t *testing.T) {
	hosts := []string{"www.youtube.com", "zoom.us", "a.example.org", "b.example.org", "www.bbva.es"}
	c := testCatalog(t)
	rapid.Check(t, func(t *rapid.T) {
		in := NewInterner(c)
		w := &world{Names: NewNames(c, in), in: in, kernel: map[string]map[string]hal.Element{}}
		now := epoch
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "seconds")) * time.Second / 60)
			addr := netip.AddrFrom4([4]byte{203, 0, 113, byte(rapid.IntRange(1, 3).Draw(t, "addr"))})
			host := rapid.SampledFrom(hosts).Draw(t, "host")
			device := flow.DeviceID(rapid.IntRange(1, 2).Draw(t, "device"))
			switch rapid.IntRange(0, 5).Draw(t, "op") {
			case 0, 1:
				w.apply(w.LearnDNS(device, host, []netip.Addr{addr}, time.Hour, now))
			case 2, 3:
				f := finding(addr, host)
				f.ECH = rapid.Bool().Draw(t, "ech")
				w.apply(w.LearnWire(device, f, now))
			case 5:
				w.apply(w.LearnWire(device, dpi.Finding{Key: key(addr, 443), Protocol: dpi.BitTorrent, Confidence: 95}, now))
			case 4:
				var domains []policy.Domain
				if rapid.Bool().Draw(t, "selector") {
					domains = []policy.Domain{{Name: "example.org"}, {Name: "youtube.com"}}
				}
				in.SetSelectors(domains)
				w.apply(w.Relabel(now))
			}
		}
		have := w.lines()
		w.kernel = map[string]map[string]hal.Element{}
		w.apply(w.Elements(now))
		if diff := cmp.Diff(w.lines(), have); diff != "" {
			t.Fatal(diff)
		}
	})
}
