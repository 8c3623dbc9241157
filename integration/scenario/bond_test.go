package scenario

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/integration/netlab"
	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/home"
	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/plan"
	"github.com/trenza-router/trenza/webui/api"
)

// bondPolicy sends the laptop over the bond alone, and the phone over it where it lives; the tv knows nothing of it.
const bondPolicy = `
devices:
  - {id: laptop, name: Laptop, macs: ["3c:58:c2:00:77:01"]}
  - {id: phone, name: Phone, macs: ["a4:83:e7:00:77:02"]}
  - {id: tv, name: TV, macs: ["8c:79:f5:00:77:03"]}
house:
  - {id: laptop, force: must, who: {devices: [laptop]}, steer: {mode: fixed, use: [bond]}}
  - {id: phone, force: must, who: {devices: [phone]}, steer: {use: [bond, fiber]}}
  - {id: tv, force: must, who: {devices: [tv]}, steer: {use: [fiber, wifi]}}
`

// rented starts a relay on the house's rented server, with further lines in its configuration, which it returns.
func (h *house) rented(lines ...string) (config string, relay *netlab.Process) {
	h.t.Helper()
	v4, v6 := netlab.ServerAddrs()
	config = filepath.Join(h.Lab.Dir(), "relay.yaml")
	text := fmt.Sprintf("public: [\"%v:51900\", \"[%v]:51900\"]\nstate: %s\n", v4, v6, filepath.Join(h.Lab.Dir(), "relay")) + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return config, h.startRelay(config)
}

func (h *house) startRelay(config string) *netlab.Process {
	h.t.Helper()
	p, err := h.Lab.Spawn(h.Lab.Server(), "relay", binary, "relay", "--config", config)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// invite asks the relay for a code.
func (h *house) invite(config string) string {
	h.t.Helper()
	var code string
	h.eventually("the relay makes a code", func() bool {
		var out bytes.Buffer
		c := h.Lab.Server().Command(h.t.Context(), binary, "relay", "invite", "--config", config, "--no-qr")
		c.Stdout = &out
		if c.Run() != nil {
			return false
		}
		code = strings.Fields(out.String())[0]
		return true
	})
	return code
}

// trenza runs a command on the router.
func (h *house) trenza(words ...string) (string, error) {
	out, err := h.Lab.Router().Command(h.t.Context(), binary, append([]string{"--socket", h.Socket()}, words...)...).CombinedOutput()
	return string(out), err
}

// seenFrom is the address that a server saw a host's new flow come from.
func (h *house) seenFrom(host string) (netip.Addr, error) {
	c, err := h.Agent(host).Connect(h.t.Context(), client.Connect{
		Target: client.Target{Host: plainServer.String(), Addr: plainServer}, Timeout: paced(4 * time.Second), Wait: paced(4 * time.Second),
	})
	return c.Seen.Remote.Addr().Unmap(), err
}

// remains lists what a link leaves in the kernel.
func (h *house) remains(id flow.LinkID, device string) (left []string) {
	h.inRouter(func(m hal.Machine) error {
		rules, err := m.Rules(h.t.Context())
		if err != nil {
			return err
		}
		for _, r := range rules {
			if r.Table == plan.LinkTable+int(id) {
				left = append(left, r.String())
			}
		}
		for _, table := range []int{plan.LinkTable + int(id), plan.LinkTable, hal.MainTable} {
			routes, err := m.Routes(h.t.Context(), table)
			if err != nil {
				return err
			}
			for _, r := range routes {
				if r.Dev == device || table == plan.LinkTable+int(id) {
					left = append(left, r.String())
				}
			}
		}
		all, err := m.Interfaces(h.t.Context())
		for _, i := range all {
			if i.Name == device {
				left = append(left, "device "+i.Name)
			}
		}
		return err
	})
	return left
}

// TestBond joins a relay with its code, and then lives with the link that comes of it.
func TestBond(t *testing.T) {
	h := newHouse(t, bondPolicy, lossless, func(o *home.Options) { o.Lab.Server = true })
	config, relay := h.rented()
	server, _ := netlab.ServerAddrs()

	if a := h.newFlow(t.Context(), "laptop", plainServer); a.err == nil {
		t.Errorf("without the bond the laptop's flow went: %s; want it refused", a)
	}
	if out, err := h.trenza("link", "add", "relay", "TRENZA1-NONSENSE"); err == nil || !strings.Contains(out, "code") {
		t.Errorf("adding a relay by nonsense: %v: %s", err, out)
	}
	code := h.invite(config)
	out, err := h.trenza("link", "add", "relay", code)
	if err != nil || !strings.Contains(out, "has joined") {
		t.Fatalf("adding the relay: %v: %s", err, out)
	}
	h.eventually("the bond in use", func() bool { return h.usable(true, "bond") && h.planned("bond") })

	for host, want := range map[string]func(netip.Addr) bool{
		"laptop": func(a netip.Addr) bool { return a == server },
		"phone":  func(a netip.Addr) bool { return a == server },
		"tv":     func(a netip.Addr) bool { return h.linkOf(a) == "fiber" },
	} {
		if seen, err := h.seenFrom(host); err != nil || !want(seen) {
			t.Errorf("the server saw the %s's flow come from %v: %v", host, seen, err)
		}
	}
	if a := h.why(t, question{device: "laptop", to: plainServer.String()}); !strings.Contains(a.Sentence, "bond") {
		t.Errorf("why: %q, want it to name the bond", a.Sentence)
	}

	h.eventually("the bond's datagrams are counted on the lines of the house", func() bool {
		r, err := h.api.ListFlowsWithResponse(t.Context(), &api.ListFlowsParams{})
		if err != nil || r.JSON200 == nil {
			return false
		}
		seen := map[string]bool{}
		for _, f := range *r.JSON200 {
			if strings.HasPrefix(f.Dst, server.String()) && f.BytesUp > 0 && f.BytesDown > 0 {
				seen[f.Link] = true
			}
		}
		return seen["fiber"] && seen["wifi"] && seen["lte"]
	})

	t.Run("cut", func(t *testing.T) { (&house{House: h.House, t: t, api: h.api}).cutUnderBond(server) })

	for _, link := range []string{"fiber", "wifi"} {
		t.Run("reliable/"+link, func(t *testing.T) {
			h := &house{House: h.House, t: t, api: h.api}
			h.setPolicy(t, strings.Replace(bondPolicy, "use: [bond]}", "use: [bond], delivery: reliable}", 1))
			steady(t, func() []string { return h.cutUnnoticed(link, server) })
		})
	}
	t.Run("services", func(t *testing.T) { (&house{House: h.House, t: t, api: h.api}).services(config) })
	t.Run("saver", func(t *testing.T) { (&house{House: h.House, t: t, api: h.api}).saver(server) })
	h.setPolicy(t, bondPolicy)

	// The relay ends: who may go another way goes it, who may not is refused.
	relay.Stop()
	h.eventually("the bond out of use", func() bool { return h.usable(false, "bond") && !h.planned("bond") })
	h.eventually("a warning of the relay", func() bool { return h.warned("relay") || h.warned("link-down") })
	h.eventually("the phone on fiber", func() bool { seen, err := h.seenFrom("phone"); return err == nil && h.linkOf(seen) == "fiber" })
	for range 3 {
		if seen, err := h.seenFrom("laptop"); err == nil {
			t.Errorf("without a relay the server saw the laptop's flow come from %v", seen)
		}
	}
	if seen, err := h.seenFrom("tv"); err != nil || h.linkOf(seen) != "fiber" {
		t.Errorf("without a relay the server saw the tv's flow come from %v: %v", seen, err)
	}
	// It comes back, and nobody has to join anew.
	h.startRelay(config)
	h.eventually("the bond in use again", func() bool { return h.usable(true, "bond") && h.planned("bond") })
	if seen, err := h.seenFrom("laptop"); err != nil || seen != server {
		t.Errorf("with the relay back the server saw the laptop's flow come from %v: %v", seen, err)
	}

	h.secrets(t, code)
	if out, err := h.trenza("link", "remove", "bond"); err != nil {
		t.Fatalf("removing the link: %v: %s", err, out)
	}
	h.eventually("the link gone", func() bool {
		s := h.status()
		return s != nil && s.Plan.Applied > 0 && !slices.ContainsFunc(s.Links, func(l api.Link) bool { return l.Name == "bond" })
	})
	h.eventually("nothing left", func() bool { return len(h.remains(7, "trenza7")) == 0 })
	if _, err := os.Stat(filepath.Join(h.Lab.Dir(), "router", "state", "relay", "bond")); err == nil {
		t.Error("the key outlives the link")
	}
	if seen, err := h.seenFrom("tv"); err != nil || h.linkOf(seen) != "fiber" {
		t.Errorf("after the removal the server saw the tv's flow come from %v: %v", seen, err)
	}
	if seen, err := h.seenFrom("laptop"); err == nil {
		t.Errorf("after the removal the server saw the laptop's flow come from %v, want it refused", seen)
	}
}

// planned tells whether a link is in the plan.
func (h *house) planned(link string) bool {
	s := h.status()
	return s != nil && slices.Contains(s.Plan.Links, link)
}

// cutUnderBond cuts the fiber under a transfer over the bond.
func (h *house) cutUnderBond(server netip.Addr) {
	defer h.healAll()
	h.transferDuring("of which the fiber was cut", server, func() {
		if err := h.Lab.Link("fiber").Cut(true); err != nil {
			h.t.Fatal(err)
		}
	})
	if a := h.newFlow(h.t.Context(), "laptop", plainServer); a.err != nil {
		h.t.Errorf("a new flow over the bond without the fiber: %s", a)
	}
}

// transferDuring has the laptop download over the bond while something happens to it; every byte has to arrive, from the relay's address.
func (h *house) transferDuring(what string, server netip.Addr, happens func()) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), paced(2*time.Minute))
	defer cancel()
	length := paced(8 * time.Second)
	wait := async(func() (client.Transferred, error) {
		return h.Agent("laptop").Transfer(ctx, client.Transfer{
			Target: client.Target{Host: plainServer.String(), Addr: plainServer},
			Order:  wire.Order{Direction: wire.Down, Duration: length, Rate: int64(load(15e6))},
		}, nil)
	})
	time.Sleep(length / 3)
	happens()
	got, err := wait()
	if err != nil || !got.Outcome.Intact || got.Seen.Remote.Addr().Unmap() != server {
		h.t.Errorf("the transfer over the bond, %s: %+v: %v", what, got, err)
	}
	h.t.Logf("the transfer brought %d bytes; longest stall %v", got.Outcome.Bytes, got.Outcome.Stall)
}

// cutUnnoticed cuts a link under a reliable flow of datagrams over the bond, there and back, which must not lose one.
func (h *house) cutUnnoticed(link string, server netip.Addr) (wrong []string) {
	defer h.healAll()
	length := paced(5 * time.Second)
	wait := h.ticks("laptop", 100, length)
	time.Sleep(length / 3)
	if err := h.Lab.Link(link).Cut(true); err != nil {
		h.t.Fatal(err)
	}
	r, err := wait()
	if err != nil {
		return []string{err.Error()}
	}
	h.t.Logf("%d datagrams, %d lost; longest gap %v", r.Sent, r.Lost, r.MaxGap.Length)
	if r.Lost > 0 {
		wrong = append(wrong, fmt.Sprintf("with %s cut %d of %d datagrams were lost, want none; gaps %v", link, r.Lost, r.Sent, r.Gaps))
	}
	for _, s := range r.Sources {
		if s.Seen.Addr().Unmap() != server {
			wrong = append(wrong, fmt.Sprintf("a datagram came from %v, want the relay's address %v", s.Seen, server))
		}
	}
	return wrong
}

// healAll heals the lines of the house and waits until they and the bond are in use.
func (h *house) healAll() {
	h.heal()
	h.eventually("the bond in use", func() bool { return h.usable(true, "bond") })
}

// secrets looks for the relay's code and the keys where others read.
func (h *house) secrets(t *testing.T, code string) {
	t.Helper()
	file := filepath.Join(h.Lab.Dir(), "router", "state", "relay", "bond", "bond.json")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the bond's state: %v, %v; want mode 0600", info, err)
	}
	text, err := os.ReadFile(filepath.Join(h.Lab.Dir(), "log", "router.log"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := h.api.ListRelaysWithResponse(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	audit, err := h.api.ListAuditWithResponse(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	links, err := os.ReadFile(filepath.Join(h.Lab.Dir(), "router", "state", "links.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	// The seed stands in the middle of a code; its first letters are the relay's public key.
	part := code[70:90]
	for what, b := range map[string][]byte{"the log": text, "the relays' list": r.Body, "the audit": audit.Body, "the list of links": links} {
		if bytes.Contains(b, []byte(part)) {
			t.Errorf("%s holds the relay's code", what)
		}
	}
}
