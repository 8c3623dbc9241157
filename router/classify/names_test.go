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
	w.is(t, 3, key(cdn, 443), epoch, "", 0)
	w.is(t, 1, key(cdn, 443), epoch.Add(time.Hour), "", 0)
	if c := w.LearnDNS(1, "www.youtube.com", []netip.Addr{cdn}, time.Minute, epoch.Add(time.Minute)); !c.Empty() {
		t.Errorf("what the kernel knows is told again: %+v", c)
	}
	if c := w.LearnDNS(1, "www.youtube.com", []netip.Addr{cdn}, time.Minute, epoch.Add(10*time.Minute)); c.Empty() {
		t.Error("an entry that soon ends is not renewed")
	}
	w.apply(w.LearnDNS(1, "zoom.us", []netip.Addr{cdn}, time.Minute, epoch.Add(time.Minute)))
	w.is(t, 1, key(cdn, 443), epoch.Add(time.Minute), "zoom", sureDNS) // the latest answer wins
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
	w.is(t, 2, key(cdn, 8443), epoch, "", 0)

	w.apply(w.LearnDNS(3, "download.windowsupdate.com", []netip.Addr{cdn}, time.Minute, epoch))
	w.expect(t, "names4 16 203.0.113.10 netflix www.netflix.com", "names4 48 203.0.113.10 windows-update download.windowsupdate.com")
	w.is(t, 2, other, epoch, "", 0)
	if c := w.LearnWire(4, finding(cdn, "www.netflix.com"), epoch); len(c.Set[Learned4]) != 0 {
		t.Error("a shared address is taught to everyone")
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
	w.expect(t, "names4 16 203.0.113.10 bbva www.bbva.es", "names4 32 203.0.113.10 youtube www.youtube.com") // nobody else is taught
	same := finding(cdn, "www.bbva.es")
	same.ECH = true
	w.apply(w.LearnWire(1, same, epoch))
	w.is(t, 1, key(cdn, 443), epoch, "bbva", sureWire)
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
			switch rapid.IntRange(0, 4).Draw(t, "op") {
			case 0, 1:
				w.apply(w.LearnDNS(device, host, []netip.Addr{addr}, time.Hour, now))
			case 2, 3:
				f := finding(addr, host)
				f.ECH = rapid.Bool().Draw(t, "ech")
				w.apply(w.LearnWire(device, f, now))
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
