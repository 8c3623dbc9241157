package bench

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/webui/api"
)

// senderMAC is that of the load's sender: the family's laptop.
var senderMAC = flow.MAC{0x3c, 0x58, 0xc2, 0x00, 0x77, 0x01}

const (
	uplinks    = 3
	clientAddr = "10.77.0.50"
	serverNet  = "198.51.100" // the server is all of it
	serverDNS  = serverNet + ".53"
)

// path is a LAN host, a router and a server, joined by cables without any emulation: all that is in the way of a packet is
// what the kernel does.
type path struct {
	b                      *testing.B
	client, router, server *machine
	daemon                 *daemon // nil: a plain router
}

// newPath builds the three machines; the router does not forward yet.
func newPath(b *testing.B) *path {
	b.Helper()
	p := &path{b: b, client: newMachine(b), router: newMachine(b), server: newMachine(b)}
	p.client.cable("eth0", p.router, "lan0")
	p.client.Run("ip link set eth0 address " + senderMAC.String())
	p.client.Run("ip address add " + clientAddr + "/24 dev eth0")
	p.client.Run("ip route add default via 10.77.0.1")
	p.router.Run("ip address add 10.77.0.1/24 dev lan0")
	for i := 1; i <= uplinks; i++ {
		p.router.cable(fmt.Sprintf("wan%d", i), p.server, fmt.Sprintf("cust%d", i))
		p.router.Run(fmt.Sprintf("ip address add 198.18.%d.100/24 dev wan%d", i, i))
		p.server.Run(fmt.Sprintf("ip address add 198.18.%d.1/24 dev cust%d", i, i))
	}
	p.server.Run("ip route add local " + serverNet + ".0/24 dev lo")
	for _, m := range []*machine{p.client, p.router, p.server} {
		m.sysctl("ipv4/conf/all/rp_filter", "0")
		// A load from one host to many ports must not be slowed by what answers errors.
		m.sysctl("ipv4/icmp_ratelimit", "0")
	}
	// A plain router may not know the neighbours' silence as loss: everyone is found before the load.
	return p
}

// plain makes the router an ordinary one: connection tracking, and the address of the link for everything that leaves.
func (p *path) plain() *path {
	p.b.Helper()
	p.router.sysctl("ipv4/ip_forward", "1")
	p.router.Run("ip route add default via 198.18.1.1")
	p.router.nft(`table inet nat {
	chain post {
		type nat hook postrouting priority srcnat; policy accept;
		oifname { "wan1", "wan2", "wan3" } masquerade
	}
}
`)
	return p
}

// daemon is the program under test in a path's router.
type daemon struct {
	api *api.ClientWithResponses
	pid int
	// begun is when it was started, planned when its first plan was in force.
	begun, planned time.Time
}

// trenza makes the router ours, with a policy.
func (p *path) trenza(rules policy.Policy) *path {
	p.b.Helper()
	dir := folder(p.b)
	text, err := policy.Format(rules)
	if err != nil {
		p.b.Fatal(err)
	}
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		p.b.Fatal(err)
	}
	var c strings.Builder
	fmt.Fprintf(&c, "platform: static\nstate: %[1]s/state\nrun: %[1]s/run\npolicy: %s\nlan: [{device: lan0}]\nlinks:\n", dir, file)
	for i, name := range []string{"fiber", "wifi", "lte"} {
		fmt.Fprintf(&c, "  - {name: %s, device: wan%d, ipv4: {gateway: 198.18.%d.1}, ipv6: off, role: %s, dns: [%s], probes: {targets: [\"icmp:%s.%d\"]}}\n",
			name, i+1, i+1, []string{"primary", "secondary", "backup"}[i], serverDNS, serverNet, i+1)
	}
	c.WriteString("resolver: {listen: [\":53\"], redirect: true}\nleases: []\nweb: {listen: \"127.0.0.1:8080\"}\nlog_level: warn\n")
	config := filepath.Join(dir, "trenza.yaml")
	if err := os.WriteFile(config, []byte(c.String()), 0o600); err != nil {
		p.b.Fatal(err)
	}
	p.daemon = start(p.b, p.router, dir, config)
	return p
}

// start runs the daemon until the benchmark ends and returns when its first plan is in force and all links are usable.
func start(b *testing.B, in *machine, dir, config string) *daemon {
	b.Helper()
	cmd := in.Command(binary(), "router", "--config", config)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	log, err := os.Create(filepath.Join(dir, "router.log"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	d := &daemon{begun: time.Now()}
	if err := cmd.Start(); err != nil {
		b.Fatalf("starting the router: %v", err)
	}
	d.pid = cmd.Process.Pid
	b.Cleanup(func() { stop(b, cmd, log.Name()) })
	d.await(b, filepath.Join(dir, "run", "trenza.sock"), log.Name())
	return d
}

func stop(b *testing.B, cmd *exec.Cmd, log string) {
	_ = cmd.Process.Signal(os.Interrupt) // gone already: Wait says so
	ended := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	defer ended.Stop()
	_ = cmd.Wait() // nsenter passes the program's own end on; its log tells
	if text, err := os.ReadFile(log); err == nil && len(text) > 0 && b.Failed() {
		b.Logf("the router's log ends with:\n%s", text[max(0, len(text)-4000):])
	}
}

func (d *daemon) await(b *testing.B, socket, log string) {
	b.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	c, err := api.NewClientWithResponses("http://localhost/api/v1", api.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		b.Fatal(err)
	}
	d.api = c
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
		r, err := c.GetStatusWithResponse(ctx)
		if err != nil || r.JSON200 == nil || r.JSON200.Plan.Applied == 0 {
			continue
		}
		if d.planned.IsZero() {
			d.planned = time.Now()
		}
		usable := 0
		for _, l := range r.JSON200.Links {
			if l.Usable {
				usable++
			}
		}
		if usable == len(r.JSON200.Links) {
			return
		}
	}
	text, _ := os.ReadFile(log)
	b.Fatalf("the router was not ready within a minute; its log: %s", text)
}

// serveDNS answers every query for an address with one of the server's, a different one for each name asked, and every
// other query with a text. It ends with the benchmark.
func (p *path) serveDNS() {
	p.b.Helper()
	var conn net.PacketConn
	p.server.Do(func() (err error) {
		conn, err = net.ListenPacket("udp4", serverDNS+":53")
		return err
	})
	var asked atomic.Uint32
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		h := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 300}
		if h.Rrtype == dns.TypeA {
			n := asked.Add(1)
			m.Answer = []dns.RR{&dns.A{Hdr: h, A: net.IPv4(203, 0, byte(n>>8), byte(n))}}
		} else {
			m.Answer = []dns.RR{&dns.TXT{Hdr: h, Txt: []string{"no address"}}}
		}
		_ = w.WriteMsg(m) // the client asks again
	})}
	go func() { _ = s.ActivateAndServe() }() // ends with Shutdown
	p.b.Cleanup(func() { _ = s.Shutdown() })
}
