package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/trenza-router/trenza/"

// rooms is the order of the house, from the words that all speak to the door: a package imports only from rooms above
// its own line. Every package is listed once.
var rooms = [][]string{
	{"router/flow"},
	{"hal", "router/support", "router/lru", "router/varint", "router/minisign", "router/catalog/domainlist"},
	{"router/release", "router/bond", "router/bond/seal", "router/bond/capsule", "router/dpi", "router/catalog", "router/policy", "router/store", "router/link", "router/loadtest", "router/capture", "router/resolver/upstream"},
	{"router/catalog/edition", "router/bond/carrier"},
	{"router/bond/https"},
	{"router/steer", "router/qos", "router/inspect", "router/blockpage", "router/classify", "router/host", "router/resolver", "router/observe", "router/policy/policytest", "router/bond/tunnel"},
	{"router/config", "router/plan", "router/relay", "router/census", "router/qos/autorate", "router/capture/capturetest"},
	{"router/apply", "router/backup"},
	{"router/engine", "webui/auth", "webui/localca"},
	{"webui/api", "webui/app"},
	{"webui/server"},
	{"hal/linux", "hal/haltest", "hal/bus", "hal/ubus", "hal/software", "hal/program"},
	{"hal/dnsmasq", "hal/hostapd"},
	{"hal/ubus/ubustest"},
	{"hal/networkmanager", "hal/modem", "hal/openwrt", "hal/wifi"},
	{"hal/hardware"},
	{"router/engine/enginetest"},
	{"integration/vm/fixture/modem/at"},
	{"integration/netlab/emulator", "integration/netlab/internet/wire", "integration/vm"},
	{"integration/netlab/internet", "integration/netlab/client", "integration/netlab/netem", "integration/vm/vmrun"},
	{"integration/netlab/internet/nstest", "integration/netlab/traffic", "integration/netlab"},
	{"integration/vm/fixture"},
	{"integration/vm/fixture/provider"},
	{"integration/vm/fixture/wifi", "integration/vm/fixture/trunk", "integration/vm/fixture/stick", "integration/vm/fixture/pppoe", "integration/vm/fixture/modem", "integration/vm/fixture/services"},
	{"integration/vm/guest/devices"},
	{"integration/netlab/home"},
	{"router/cli"},
	{"integration/scenario", "integration/bench", "integration/page", "integration/vm/guest/smoke", "integration/vm/guest/netem", "integration/vm/guest/fallback", "integration/vm/guest/shaping", "integration/vm/powercut"},
	{"integration/vm/guest/hardware"},
	{"."},
	{"packaging", "images"},
}

// guarded lists what only some rooms may touch, with the reason.
var guarded = []struct {
	imports, rooms []string
	why            string
}{
	{[]string{"github.com/vishvananda/", "github.com/mdlayher/", "github.com/google/nftables", "github.com/ti-mo/", "github.com/florianl/", "github.com/insomniacslk/", "golang.org/x/sys/unix", "os/exec"},
		[]string{"hal/", "integration/", "router/bond/carrier", "packaging", "images"}, "only hal touches the kernel and other programs; a bond's sockets and TUN device move each packet, and are built for nothing else"},
	{[]string{"github.com/godbus/"}, []string{"hal/"}, "the machine's services are behind hal"},
	{[]string{"github.com/labstack/echo"}, []string{"webui/api", "webui/server"}, "the web framework stays in the web's rooms"},
	{[]string{"database/sql", "modernc.org/sqlite"}, []string{"router/store"}, "SQL stays in the store"},
	{[]string{module + "hal/linux", module + "hal/haltest", module + "hal/hardware", module + "hal/networkmanager", module + "hal/modem", module + "hal/openwrt", module + "hal/wifi", module + "hal/ubus", module + "hal/software", module + "hal/dnsmasq", module + "hal/hostapd"}, []string{"router/cli", "router/engine/enginetest", "integration/", "hal/"}, "implementations of hal are chosen by the composition root"},
	{[]string{module + "integration"}, []string{"router/cli", "integration/"}, "only the lab's command starts the lab"},
}

// TestImportsGoDown parses the files instead of asking the go command, whose answer the test cache would hide.
func TestImportsGoDown(t *testing.T) {
	level := map[string]int{}
	for n, line := range rooms {
		for _, room := range line {
			if _, twice := level[room]; twice {
				t.Errorf("room %s is listed twice", room)
			}
			level[room] = n
		}
	}
	seen := map[string]bool{}
	for file, imports := range goFiles(t) {
		room := path.Dir(file)
		at, listed := level[room]
		if !listed {
			t.Errorf("%s: room %s is not in the table of rooms: give it its place", file, room)
			continue
		}
		seen[room] = true
		test := strings.HasSuffix(file, "_test.go")
		for _, imp := range imports {
			checkGuards(t, file, room, imp, test)
			to, ours := strings.CutPrefix(imp, module)
			if !ours {
				continue
			}
			if _, listed := level[to]; !listed {
				t.Errorf("%s imports %s, which is not in the table of rooms", file, to)
			} else if level[to] >= at && !test {
				t.Errorf("%s imports %s: imports go down only, and %s is not below %s", file, to, to, room)
			}
		}
	}
	for room := range level {
		if !seen[room] {
			t.Errorf("room %s is in the table and has no Go file", room)
		}
	}
}

func checkGuards(t *testing.T, file, room, imp string, test bool) {
	for _, g := range guarded {
		if !slices.ContainsFunc(g.imports, func(p string) bool { return strings.HasPrefix(imp, p) }) {
			continue
		}
		// A test may look at what its room makes from outside, with ip and nft.
		if test || slices.ContainsFunc(g.rooms, func(r string) bool { return strings.HasPrefix(room+"/", r) || room == r }) {
			continue
		}
		t.Errorf("%s imports %s: %s", file, imp, g.why)
	}
}

// goFiles maps every Go file of the repository to its imports.
func goFiles(t *testing.T) map[string][]string {
	out := map[string][]string{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && name != ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imports []string
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, p)
		}
		out[filepath.ToSlash(name)] = imports
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestNoTestIsSkipped: a test that is skipped says nothing. One that cannot run on a machine fails there and says what it needs.
func TestNoTestIsSkipped(t *testing.T) {
	for file := range goFiles(t) {
		if !strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, call.Sel.Name) {
				t.Errorf("%s skips a test", file)
			}
			return true
		})
	}
}

// TestMainIsADoor keeps main.go a door and nothing else.
func TestMainIsADoor(t *testing.T) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "main.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if lines := fset.File(f.Pos()).LineCount(); lines > 40 {
		t.Errorf("main.go has %d lines, at most 40", lines)
	}
}
