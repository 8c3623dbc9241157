//go:build vm

package hardware

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/integration/netlab"
	"github.com/trenza-router/trenza/integration/vm/fixture"
	"github.com/trenza-router/trenza/integration/vm/fixture/provider"
	"github.com/trenza-router/trenza/webui/api"
)

// house is a router in the test's namespace and a laptop behind it. The router has a link by cable to begin with.
type house struct {
	t      *testing.T
	dir    string
	laptop *netlab.Namespace
	wire   *provider.Provider
}

// wireEnd is the provider's end of the cable.
const wireEnd = "line"

// probes of a link; the address is the host that every provider leads to.
const probes = `probes: {interval: 1s, targets: ["icmp:` + provider.Internet + `"]}`

// newHouse starts the router with further links, each in the form of the configuration file, without its probes.
func newHouse(t *testing.T, policy string, links ...string) *house {
	t.Helper()
	return newHouseOf(t, "", policy, links...)
}

// newHouseOf is newHouse with another LAN, in the form of the configuration file.
func newHouseOf(t *testing.T, lan, policy string, links ...string) *house {
	t.Helper()
	if lan != "" {
		lan = ", " + lan
	}
	h := &house{t: t, dir: t.TempDir(), laptop: fixture.Namespace(t, "laptop"), wire: provider.New(t, "wire")}
	h.cable("lan0", "eth0", h.laptop)
	fixture.IP(t, nil, "address add 10.30.0.1/24 dev lan0")
	fixture.IP(t, nil, "link set lan0 up")
	fixture.IP(t, h.laptop, "address add 10.30.0.2/24 dev eth0")
	fixture.IP(t, h.laptop, "link set eth0 up")
	fixture.IP(t, h.laptop, "route add default via 10.30.0.1")
	h.cable("wan0", wireEnd, h.wire.Namespace())
	fixture.IP(t, nil, "link set wan0 up")
	gateway := prefix("10.70.0.1/24")
	h.wire.Address(wireEnd, gateway)
	h.wire.DHCP(wireEnd, gateway, addr("10.70.0.100"), addr("10.70.0.200"))

	config := "lan: [{device: lan0}" + lan + "]\nresolver: {listen: []}\nweb: {listen: \"\"}\nleases: []\npolicy: " + h.file("policy.yaml", policy) +
		"\nlinks:\n  - {name: wire, device: wan0, ipv4: dhcp, ipv6: off, " + probes + "}\n"
	for _, l := range links {
		config += "  - {" + l + ", ipv6: off, " + probes + "}\n"
	}
	fixture.Start(t, exec.CommandContext(context.Background(), h.binary(), "router", "--config", h.file("trenza.yaml", config),
		"--state", filepath.Join(h.dir, "state"), "--run", filepath.Join(h.dir, "run")))
	t.Logf("the link by cable is up after %v", h.await("wire", func(l api.Link) bool { return l.Usable }))
	return h
}

// cable leads from a device of the router to one of a namespace. It goes with the test, at once: a namespace's own devices may outlive it for
// a while.
func (h *house) cable(here, there string, n *netlab.Namespace) {
	h.t.Helper()
	fixture.IP(h.t, nil, fmt.Sprintf("link add %s type veth peer name %s netns %s", here, there, n.Name()))
	h.t.Cleanup(func() {
		if out, err := exec.Command("ip", "link", "delete", here).CombinedOutput(); err != nil {
			h.t.Errorf("taking the cable %s away: %v: %s", here, err, out)
		}
	})
}

func (h *house) file(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func (h *house) binary() string {
	h.t.Helper()
	p := os.Getenv("TRENZA_BINARY")
	if p == "" {
		h.t.Fatal("TRENZA_BINARY names no program: run this by `make test-vm`")
	}
	return p
}

// ask runs a command of the router's with something on its standard input. The error is what it said.
func (h *house) ask(input string, words ...string) (string, error) {
	cmd := exec.CommandContext(h.t.Context(), h.binary(), append([]string{"--socket", filepath.Join(h.dir, "run", "trenza.sock")}, words...)...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), errors.Join(err, errors.New(strings.TrimSpace(errOut.String())))
	}
	return out.String(), nil
}

// link is a link as the router tells it; zero while it tells nothing.
func (h *house) link(name string) api.Link {
	out, err := h.ask("", "status", "--json")
	if err != nil {
		return api.Link{}
	}
	var s api.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		h.t.Fatalf("the status is no JSON: %v: %s", err, out)
	}
	for _, l := range s.Links {
		if l.Name == name {
			return l
		}
	}
	h.t.Fatalf("the router has no link %s: %s", name, out)
	return api.Link{}
}

// patience is for what several programs of an emulated machine do one after the other.
const patience = 3 * fixture.Patience

// await waits until a link is as it should be.
func (h *house) await(name string, as func(api.Link) bool) string {
	h.t.Helper()
	var last api.Link
	defer func() {
		if h.t.Failed() {
			h.t.Logf("link %s: %s, usable %v, %q, device %q", name, last.State, last.Usable, last.Reason, last.Device)
			out, err := h.ask("", "links")
			h.t.Logf("what is plugged in: %v\n%s", err, out)
			for _, ask := range []string{"ip -statistics link", "ip address", "dmesg"} {
				words := strings.Fields(ask)
				text, err := exec.Command(words[0], words[1:]...).CombinedOutput() //nolint:noctx // the test's context may have ended
				h.t.Logf("%s: %v\n%s", ask, err, text[max(0, len(text)-6000):])
			}
		}
	}()
	return fixture.Eventually(h.t, patience, "the link "+name, func() bool {
		last = h.link(name)
		return as(last)
	}).String()
}

func usable(l api.Link) bool { return l.Usable }

// serves waits until a new connection of the laptop goes by a provider.
func (h *house) serves(name string) {
	h.t.Helper()
	var last string
	took := fixture.Eventually(h.t, patience, "a connection by "+name, func() bool {
		ctx, cancel := context.WithTimeout(h.t.Context(), fixture.Patience/6)
		defer cancel()
		page, err := provider.Fetch(ctx, h.laptop)
		if err != nil {
			page = err.Error()
		}
		if page != last {
			h.t.Logf("the laptop gets %q", page)
		}
		last = page
		return page == name
	})
	h.t.Logf("%s serves after %v", name, took)
}

// cut takes the carrier of the cable, or gives it back.
func (h *house) cut(is bool) {
	h.t.Helper()
	state := "up"
	if is {
		state = "down"
	}
	fixture.IP(h.t, h.wire.Namespace(), "link set "+wireEnd+" "+state)
}

// pings sends echo requests from the laptop, five a second, until the result is called; it tells how many were sent and lost.
func (h *house) pings() (end func() (sent, lost int)) {
	h.t.Helper()
	p := fixture.Start(h.t, h.laptop.Command(context.Background(), "ping", "-n", "-i", "0.2", "-W", "30", provider.Internet))
	p.Await(h.t, "icmp_seq=1 ")
	return func() (sent, lost int) {
		h.t.Helper()
		p.Interrupt()
		var got int
		for line := range strings.Lines(p.Output()) {
			if n, err := fmt.Sscanf(line, "%d packets transmitted, %d received", &sent, &got); n == 2 && err == nil {
				return sent, sent - got
			}
		}
		h.t.Fatalf("ping ended without its account:\n%s", p.Output())
		return 0, 0
	}
}
