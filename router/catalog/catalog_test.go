package catalog

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/trenza-router/trenza/router/flow"
	"golang.org/x/net/publicsuffix"
)

func mustLoad(t testing.TB, overlay string) *Catalog {
	t.Helper()
	c, err := Load(overlay)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestBuiltInIsData: the compiled catalogue that the program carries is what the readable files say, and the tests that they contain
// hold.
func TestBuiltInIsData(t *testing.T) {
	c, err := Compile(os.DirFS("data"), "data")
	if err != nil {
		t.Fatal(err)
	}
	if string(c.Encode()) != builtIn {
		t.Error("catalog.bin is not what data says: run \"make generate\", and raise data/VERSION for an edition of its own")
	}
}

func TestBuiltInCatalogue(t *testing.T) {
	c := mustLoad(t, "")
	if len(c.Apps()) < 220 || len(c.Categories()) < 20 {
		t.Errorf("%d applications in %d categories", len(c.Apps()), len(c.Categories()))
	}
	used := map[string]int{}
	for _, a := range c.Apps() {
		used[a.Category]++
		for _, d := range a.Domains {
			if got := c.AppOf(d.Name); got != a.ID && (!d.Exact || got == "") {
				t.Errorf("%s of %s is found as %q", d, a.ID, got)
			}
			if suffix, icann := publicsuffix.PublicSuffix(d.Name); icann && suffix == d.Name {
				t.Errorf("%s of %s covers a whole top-level domain", d, a.ID)
			}
		}
	}
	for _, k := range c.Categories() {
		if used[k.ID] == 0 {
			t.Errorf("category %s has no application", k.ID)
		}
	}
	if c.HasCategory("nonsense") || !c.HasCategory("video") || c.HasApp("nonsense") || !c.HasApp("zoom") {
		t.Error("known ids are not told from unknown ones")
	}
}

// TestSharedDomainsAreNobodys: what serves many applications has a name, and is never taken for one of them.
func TestSharedDomainsAreNobodys(t *testing.T) {
	c := mustLoad(t, "")
	for _, host := range []string{
		"a.akamaihd.net", "x.akamaized.net", "e1.a.akamaiedge.net", "x.edgekey.net", "x.edgesuite.net", "d1.cloudfront.net", "s3.amazonaws.com",
		"x.fastly.net", "x.azureedge.net", "x.azurefd.net", "x.trafficmanager.net", "x.blob.core.windows.net", "lh3.googleusercontent.com",
		"fonts.gstatic.com", "storage.googleapis.com", "x.b-cdn.net", "x.cdn77.org", "x.llnwd.net", "cdn.jsdelivr.net", "x.oss-cn-beijing.aliyuncs.com",
		"x.cos.ap-beijing.myqcloud.com", "x.bcebos.com", "x.workers.dev", "x.appspot.com", "x.firebaseio.com",
	} {
		if a, ok := c.Lookup(host); !ok || !a.Shared() {
			t.Errorf("%s is %q of category %q, want shared infrastructure", host, a.ID, a.Category)
		}
	}
	if a, _ := c.App("netflix"); a.Shared() {
		t.Error("Netflix is shared infrastructure")
	}
}

func TestLookup(t *testing.T) {
	c := mustLoad(t, "")
	for host, want := range map[string]string{
		"youtube.com": "youtube", "www.youtube.com": "youtube", "r3---sn-4g5e6nz7.googlevideo.com": "youtube",
		"notyoutube.com": "", "com": "", "": "", "youtube.com.evil.example": "",
		"google.com": "google-search", "mail.google.com": "gmail", "docs.google.com": "google-workspace",
		"youtubei.googleapis.com": "youtube", "a.youtubei.googleapis.com": "google-services",
		"edge-mqtt.facebook.com": "messenger", "www.facebook.com": "facebook",
		"mmg.whatsapp.net": "whatsapp", "us04web.zoom.us": "zoom", "atv-ps.amazon.com": "prime-video", "www.amazon.com": "amazon",
		"7.tlu.dl.delivery.mp.microsoft.com": "windows-update", "download.windowsupdate.com": "windows-update",
		"short.weixin.qq.com": "wechat", "www.qq.com": "qq", "en.wikipedia.org": "wikipedia", "www.bbva.es": "bbva",
	} {
		if got := c.AppOf(host); got != want {
			t.Errorf("AppOf(%q) = %q, want %q", host, got, want)
		}
		app, ok := c.Lookup(host)
		if ok != (want != "") || app.ID != want {
			t.Errorf("Lookup(%q) = %q, %v", host, app.ID, ok)
		}
	}
	if n := testing.AllocsPerRun(100, func() { c.Lookup("r3---sn-4g5e6nz7.googlevideo.com") }); n > 0 {
		t.Errorf("%v allocations a lookup", n)
	}
}

func TestPrefixAndPort(t *testing.T) {
	c := mustLoad(t, "")
	for addr, want := range map[string]string{
		"149.154.167.50": "telegram", "::ffff:149.154.167.50": "telegram", "2001:67c:4e8::1": "telegram", "192.0.2.1": "", "2001:db8::1": "",
	} {
		if got, _ := c.Prefix(netip.MustParseAddr(addr)); got.ID != want {
			t.Errorf("Prefix(%s) = %q, want %q", addr, got.ID, want)
		}
	}
	if _, ok := c.Prefix(netip.Addr{}); ok {
		t.Error("the zero address has an application")
	}
	for _, tt := range []struct {
		proto flow.Proto
		port  uint16
		want  string
	}{{flow.ProtoUDP, 8801, "zoom"}, {flow.ProtoUDP, 8810, "zoom"}, {flow.ProtoUDP, 8811, ""}, {flow.ProtoTCP, 25565, "minecraft"}, {flow.ProtoTCP, 443, ""}, {flow.ProtoUDP, 0, ""}, {flow.ProtoUDP, 65535, ""}} {
		if got, _ := c.Port(tt.proto, tt.port); got.ID != tt.want {
			t.Errorf("Port(%s, %d) = %q, want %q", tt.proto, tt.port, got.ID, tt.want)
		}
	}
}

func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOverlayWins(t *testing.T) {
	c := mustLoad(t, writeFiles(t, map[string]string{
		"categories.yaml":  "- id: family\n  names: {en: Family, es: Familia, zh: 家庭}\n",
		"apps/zoom.yaml":   "id: zoom\nnames: {en: My Zoom, es: Mi Zoom, zh: 我的}\ncategory: work\ndomains: [zoom.example]\n",
		"apps/photos.yaml": "id: photos\nnames: {en: Photos, es: Fotos, zh: 照片}\ncategory: family\ndomains: [netflix.com, =photos.example.org]\nprefixes: [149.154.160.0/20]\nports: [tcp/25565]\n",
	}))
	got := map[string]string{}
	for _, h := range []string{"zoom.us", "zoom.example", "www.netflix.com", "nflxvideo.net", "photos.example.org", "a.photos.example.org"} {
		got[h] = c.AppOf(h)
	}
	want := map[string]string{"zoom.us": "", "zoom.example": "zoom", "www.netflix.com": "photos", "nflxvideo.net": "netflix", "photos.example.org": "photos", "a.photos.example.org": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if a, _ := c.Prefix(netip.MustParseAddr("149.154.167.50")); a.ID != "photos" {
		t.Errorf("the overlay's address range lost to %q", a.ID)
	}
	if a, _ := c.Port(flow.ProtoTCP, 25565); a.ID != "photos" {
		t.Errorf("the overlay's port lost to %q", a.ID)
	}
	if a, _ := c.App("zoom"); a.Names.In("es-MX") != "Mi Zoom" || a.Category != "work" {
		t.Errorf("zoom is %+v", a)
	}
}

func TestBadFilesAreRefused(t *testing.T) {
	const head = "id: x\nnames: {en: X, es: X, zh: X}\ncategory: video\n"
	for _, tt := range []struct{ name, file, text, want string }{
		{"unknown key", "apps/x.yaml", head + "domain: [a.example]\n", `x.yaml:4: unknown field "domain"`},
		{"bad domain", "apps/x.yaml", head + "domains:\n  - a.example\n  - Not A Name\n", `x.yaml:6: domain "Not A Name"`},
		{"upper case", "apps/x.yaml", head + "domains: [A.example]\n", `x.yaml:4: domain "A.example"`},
		{"top level", "apps/x.yaml", head + "domains: [com]\n", `x.yaml:4: domain "com"`},
		{"host bits", "apps/x.yaml", head + "prefixes: [192.0.2.1/24]\n", `x.yaml:4: address range`},
		{"port", "apps/x.yaml", head + "ports: [tcp/0]\n", `x.yaml:4: port "tcp/0"`},
		{"port range", "apps/x.yaml", head + "ports: [icmp/1]\n", `x.yaml:4: port "icmp/1"`},
		{"category", "apps/x.yaml", strings.Replace(head, "video", "vidio", 1) + "domains: [a.example]\n", `x.yaml:3: category "vidio" is not one of video, music`},
		{"names", "apps/x.yaml", "id: x\nnames: {en: X}\ncategory: video\ndomains: [a.example]\n", `x.yaml:2: give names`},
		{"file name", "apps/y.yaml", head + "domains: [a.example]\n", `y.yaml:1: id "x"`},
		{"nothing to match", "apps/x.yaml", head, `neither domains`},
		{"protocol", "apps/x.yaml", head + "protocols: [No]\n", `x.yaml:4: protocol "No"`},
		{"failing test", "apps/x.yaml", head + "domains: [a.example]\ntests:\n  match:\n    - b.example\n", `x.yaml:7: test: b.example belongs to no application`},
		{"failing counter-test", "apps/x.yaml", head + "domains: [a.example]\ntests: {other: [b.a.example]}\n", `x.yaml:5: test: b.a.example belongs to x and must not`},
		{"bad test", "apps/x.yaml", head + "domains: [a.example]\ntests: {other: [A b]}\n", `x.yaml:5: host "A b"`},
		{"twice", "apps/x.yaml", head + "domains: [a.example, a.example]\n", `x.yaml:1: domain a.example is there twice`},
		{"not yaml", "apps/x.yaml", "\t:::", `x.yaml`},
		{"tag", "apps/x.yaml", head + "domains: !x\n  a: b\n", `x.yaml.*not YAML that can be read`},
		{"category id", "categories.yaml", "- id: A b\n  names: {en: X, es: X, zh: X}\n", `categories.yaml:1: category id`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(writeFiles(t, map[string]string{tt.file: tt.text}))
			if err == nil {
				t.Fatal("accepted")
			}
			if !regexp.MustCompile(`(?s)` + tt.want).MatchString(err.Error()) {
				t.Errorf("got %q, want a match of %q", err, tt.want)
			}
		})
	}
	two := map[string]string{
		"apps/x.yaml": head + "domains: [a.example]\nports: [tcp/5-9]\n",
		"apps/z.yaml": strings.Replace(head, "id: x", "id: z", 1) + "domains: [a.example]\nports: [tcp/9]\n",
	}
	if _, err := Load(writeFiles(t, two)); err == nil || !strings.Contains(err.Error(), "domain a.example belongs to x") || !strings.Contains(err.Error(), "port tcp/9 belongs to x") {
		t.Errorf("two owners of one domain: %v", err)
	}
	if _, err := Load(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a missing overlay directory was accepted")
	}
}

// TestOverlayGoesOnWithTheRest: a file with a mistake counts as not there, the others and the catalogue serve.
func TestOverlayGoesOnWithTheRest(t *testing.T) {
	base := mustLoad(t, "")
	const names = "names: {en: X, es: X, zh: X}\ncategory: video\n"
	c, problems := base.Overlay(writeFiles(t, map[string]string{
		"apps/good.yaml": "id: good\n" + names + "domains: [good.example]\n",
		"apps/bad.yaml":  "id: bad\n" + names + "domains: [Bad]\n",
		"apps/zoom.yaml": "id: zoom\nnonsense: 1\n",
		"apps/zz.yaml":   "id: zz\n" + names + "domains: [good.example, zz.example]\n",
	}))
	if len(problems) != 3 {
		t.Errorf("problems: %v", problems)
	}
	for host, want := range map[string]string{"good.example": "good", "zz.example": "zz", "zoom.us": "zoom", "www.netflix.com": "netflix"} {
		if got := c.AppOf(host); got != want {
			t.Errorf("AppOf(%s) = %q, want %q", host, got, want)
		}
	}
	if same, problems := base.Overlay(filepath.Join(t.TempDir(), "missing")); same != base || len(problems) != 1 {
		t.Errorf("a missing overlay: %v", problems)
	}
	if base.HasApp("good") {
		t.Error("the catalogue below changed")
	}
}

// TestManyMistakesAreToldInTime: a long list with a mistake on every line is refused after the first ones.
func TestManyMistakesAreToldInTime(t *testing.T) {
	text := "id: x\nnames: {en: X, es: X, zh: X}\ncategory: video\ndomains:\n" + strings.Repeat("  - BAD\n", 5000)
	_, problems := mustLoad(t, "").Overlay(writeFiles(t, map[string]string{"apps/x.yaml": text}))
	if len(problems) != maxProblems || !strings.Contains(problems[0].Error(), `x.yaml:5: domain "BAD"`) {
		t.Errorf("%d problems: %v", len(problems), problems[0])
	}
}

// TestOverlayTakesAway: what an own application claims is no longer listed for the one that had it.
func TestOverlayTakesAway(t *testing.T) {
	c := mustLoad(t, writeFiles(t, map[string]string{
		"apps/mine.yaml": "id: mine\nnames: {en: M, es: M, zh: M}\ncategory: video\nprefixes: [149.154.160.0/20]\nprotocols: [mtproto]\nports: [udp/8805]\n",
	}))
	if a, _ := c.Protocol("mtproto"); a.ID != "mine" {
		t.Errorf("the protocol stays with %q", a.ID)
	}
	telegram, _ := c.App("telegram")
	for _, p := range telegram.Prefixes {
		if p == netip.MustParsePrefix("149.154.160.0/20") {
			t.Error("the address range has two owners")
		}
	}
	if zoom, _ := c.App("zoom"); cmp.Diff(zoom.Ports, []Ports{{flow.ProtoTCP, 8801, 8802}}) != "" {
		t.Errorf("Zoom's ports are %v", zoom.Ports)
	}
}

func FuzzAppFile(f *testing.F) {
	f.Add("id: x\nnames: {en: X, es: X, zh: X}\ncategory: video\ndomains: [a.example]\nports: [udp/1-2]\nprefixes: [192.0.2.0/24]\nprotocols: [stun]\ntests: {match: [a.example]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		b := builder{apps: map[string]*sourced{}, categories: []Category{{ID: "video"}}}
		b.readApps(0, layer{fstest.MapFS{"apps/x.yaml": {Data: []byte(text)}}, "fuzz"})
		if _, err := b.build(1); err != nil {
			t.Fatal(err)
		}
		if len(b.apps) == 0 && len(b.problems) == 0 {
			t.Fatal("no application and no problem")
		}
	})
}

func TestSite(t *testing.T) {
	for host, want := range map[string]string{
		"news.bbc.co.uk": "bbc.co.uk", "a.b.example.com": "example.com", "example.com": "example.com",
		"co.uk": "co.uk", "localhost": "localhost", "someone.github.io": "someone.github.io", "": "",
	} {
		if got := Site(host); got != want {
			t.Errorf("Site(%q) = %q, want %q", host, got, want)
		}
	}
	if SiteHash("a.example.com") != SiteHash("b.example.com") || SiteHash("example.com") == SiteHash("example.org") {
		t.Error("the site hash does not follow the site")
	}
	if SiteHash("") != 0 {
		t.Error("no host has a site hash")
	}
}
