package linux

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// capability is one thing to try. probe returns nil when the machine can do it, and the machine's own words when not.
type capability struct {
	hal.Capability
	probe func(*attempt) error
}

// attempt is the place where things are tried.
type attempt struct {
	ctx context.Context
	nft *firewall
	// private: the thread is in a network namespace of its own, which ends with it. Without it only rulesets can be
	// tried, by a check that commits nothing.
	private bool
	denied  error // why it is not private
}

// errUntried: there was no place to try it in.
var errUntried = errors.New("could not be tried: no right to make a network namespace (CAP_SYS_ADMIN)")

// Capabilities tries every feature in a network namespace that exists for this call alone, so that nothing is left behind and no
// traffic meets it. What speaks of this very namespace (writable sysctls, rules of other programs) is looked at here.
// The order is that of the table: what is required first.
func (m *Machine) Capabilities(ctx context.Context) ([]hal.Capability, error) {
	found := make(chan []hal.Capability, 1)
	go func() {
		// Never unlocked: the runtime ends the thread with the goroutine, and the namespace with the thread.
		runtime.LockOSThread()
		a := &attempt{ctx: ctx, nft: m.firewall}
		a.denied = unix.Unshare(unix.CLONE_NEWNET)
		a.private = a.denied == nil
		var l []hal.Capability
		for _, c := range probes() {
			if ctx.Err() != nil {
				break
			}
			l = append(l, c.settle(c.probe(a)))
		}
		found <- l
	}()
	l := <-found
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("probe the machine's features: %w", err)
	}
	l = append(l, m.here()...)
	l = append(l, services()...)
	conflicts, err := m.conflicts(ctx)
	if err != nil {
		return nil, err
	}
	return append(l, conflicts...), nil
}

// settle completes a finding: what serves instead and what helps is said only when the feature is absent.
func (c capability) settle(err error) hal.Capability {
	f := c.Capability
	if err == nil {
		f.Present, f.Instead, f.Fix = true, "", ""
		return f
	}
	f.Detail = err.Error()
	return f
}

// here looks at what a namespace of its own would not show.
func (m *Machine) here() []hal.Capability {
	forward := m.root + "/net/ipv4/ip_forward"
	return []hal.Capability{capability{Capability: hal.Capability{
		Name: "sysctl-write", What: "switch on forwarding of packets", Required: true,
		Fix: "mount /proc/sys writable (in a container), and run as root",
	}}.settle(kernelError(unix.Access(forward, unix.W_OK), "write %s", forward))}
}

// probes is the table of all features. Fixes name the packages of Debian and of OpenWrt.
func probes() []capability {
	const rebuild = "use a kernel with "
	return []capability{
		{hal.Capability{
			Name: "nft-inet", What: "rules for IPv4 and IPv6 in one table", Required: true,
			Fix: "install nftables; on OpenWrt kmod-nft-core; else " + rebuild + "CONFIG_NF_TABLES_INET",
		}, tryRuleset("chain c { type filter hook forward priority 0; }")},
		{hal.Capability{
			Name: "nft-map-timeout", What: "keep learned names in maps, each for its time", Required: true,
			Fix: rebuild + "CONFIG_NF_TABLES (5.6 or newer)",
		}, tryRuleset("map m { type mark . ipv4_addr : mark; size 65536; flags timeout; }",
			"map n { type ipv6_addr . inet_proto . inet_service : mark; size 65536; flags timeout; }",
			`chain c { type filter hook prerouting priority mangle; meta mark set meta mark . ip daddr map @m; }`)},
		{hal.Capability{
			Name: "nft-ct-mark", What: "remember a decision for the rest of a connection", Required: true,
			Fix: "on OpenWrt kmod-nft-core and kmod-nf-conntrack; else " + rebuild + "CONFIG_NFT_CT and CONFIG_NF_CONNTRACK_MARK",
		}, tryRuleset("chain c { type filter hook prerouting priority mangle; ct mark set meta mark; meta mark set ct mark; }")},
		{hal.Capability{
			Name: "nft-masquerade", What: "translate IPv4 addresses to the link's own", Required: true,
			Fix: "on OpenWrt kmod-nft-nat; else " + rebuild + "CONFIG_NFT_MASQ and CONFIG_NFT_NAT",
		}, tryRuleset("chain c { type nat hook postrouting priority srcnat; meta nfproto ipv4 masquerade; }")},
		{hal.Capability{
			Name: "nft-redirect", What: "redirect DNS queries to the router and forward ports", Required: true,
			Fix: "on OpenWrt kmod-nft-nat; else " + rebuild + "CONFIG_NFT_REDIR and CONFIG_NFT_NAT",
		}, tryRuleset("chain c { type nat hook prerouting priority dstnat; udp dport 53 redirect; tcp dport 8443 dnat ip to 192.0.2.1:443; }")},
		{hal.Capability{
			Name: "rule-fwmark", What: "choose the link of a packet by its mark", Required: true,
			Fix: rebuild + "CONFIG_IP_MULTIPLE_TABLES",
		}, tryRules(hal.IPv4, hal.Rule{Priority: 9001, Mark: 0x2000, Mask: 0xe000, Table: 1001, SuppressPrefix: -1})},
		{hal.Capability{
			Name: "rule-suppress", What: "let the routes to own networks stand before those of the links", Required: true,
			Fix: rebuild + "CONFIG_IP_MULTIPLE_TABLES (3.12 or newer)",
		}, tryRules(hal.IPv4, hal.Rule{Priority: 9000, Table: hal.MainTable, SuppressPrefix: 0})},
		{hal.Capability{
			Name: "conntrack-netlink", What: "see and flush connections", Required: true,
			Fix: "on OpenWrt kmod-nf-conntrack-netlink; else " + rebuild + "CONFIG_NF_CT_NETLINK",
		}, tryConntrack},
		{hal.Capability{
			Name: "so-bindtodevice", What: "probe each link by itself", Required: true,
			Fix: "run as root or with CAP_NET_RAW",
		}, trySocketOption(func(s int) error { return unix.BindToDevice(s, "lo") })},
		{hal.Capability{
			Name: "so-mark", What: "send the router's own queries over a chosen link", Required: true,
			Fix: "run as root or with CAP_NET_ADMIN",
		}, trySocketOption(func(s int) error { return unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_MARK, 1) })},
		{hal.Capability{
			Name: "ipv6", What: "IPv6 in the home and on the links", Instead: "IPv4 alone",
			Fix: "remove ipv6.disable=1 from the kernel's command line; on OpenWrt kmod-ipv6",
		}, tryRules(hal.IPv6, hal.Rule{Priority: 9001, Mark: 0x2000, Mask: 0xe000, Table: 1001, SuppressPrefix: -1},
			hal.Rule{Priority: 9000, Table: hal.MainTable, SuppressPrefix: 0})},
		{hal.Capability{
			Name: "nft-masquerade6", What: "move IPv6 connections between links whatever prefix they use",
			Instead: "hosts use IPv4 where a link has another prefix than theirs",
			Fix:     "on OpenWrt kmod-nft-nat6; else " + rebuild + "CONFIG_NF_NAT_IPV6 or 5.2 and newer",
		}, tryRuleset("chain c { type nat hook postrouting priority srcnat; meta nfproto ipv6 masquerade; }",
			"ip6", "chain c { type nat hook postrouting priority srcnat; masquerade; }")},
		{hal.Capability{
			Name: "nft-numgen", What: "spread connections over links by weight", Instead: "spread by addresses and ports",
			Fix: "on OpenWrt kmod-nft-core; else " + rebuild + "CONFIG_NFT_NUMGEN",
		}, tryRuleset("chain c { type filter hook prerouting priority mangle; meta mark set numgen random mod 100 map { 0-69 : 1, 70-99 : 2 }; }")},
		{hal.Capability{
			Name: "nft-jhash", What: "keep a host or a site on its link while spreading", Instead: "spread each connection by itself",
			Fix: "on OpenWrt kmod-nft-core; else " + rebuild + "CONFIG_NFT_HASH",
		}, tryRuleset("chain c { type filter hook prerouting priority mangle; meta mark set jhash ip saddr . ip daddr mod 100 map { 0-69 : 1, 70-99 : 2 }; }")},
		{hal.Capability{
			Name: "nft-reject", What: "tell a blocked application at once that it is blocked",
			Instead: "blocked packets vanish, and applications wait until they give up",
			Fix:     "on OpenWrt kmod-nft-core; else " + rebuild + "CONFIG_NFT_REJECT_INET",
		}, tryRuleset("chain c { type filter hook forward priority 0; meta l4proto tcp reject with tcp reset; reject with icmpx admin-prohibited; }")},
		{hal.Capability{
			Name: "nflog", What: "look at copies of a connection's first packets to know its application",
			Instead: "applications are known by their DNS names and addresses alone",
			Fix:     "on OpenWrt kmod-nf-log and kmod-nfnetlink-log; else " + rebuild + "CONFIG_NETFILTER_NETLINK_LOG",
		}, tryRuleset("chain c { type filter hook forward priority 0; log group 77 snaplen 512; }")},
		{hal.Capability{
			Name: "nft-queue", What: "hold a packet until it is judged", Instead: "copies of packets (nflog); the first packets pass by what is known",
			Fix: "on OpenWrt kmod-nft-queue; else " + rebuild + "CONFIG_NFT_QUEUE",
		}, tryRuleset("chain c { type filter hook forward priority 0; queue flags bypass to 77; }")},
		{hal.Capability{
			Name: "nft-flowtable", What: "forward known connections on a short cut", Instead: "each packet passes the rules",
			Fix: "on OpenWrt kmod-nft-offload; else " + rebuild + "CONFIG_NF_FLOW_TABLE_INET",
		}, tryRuleset("flowtable f { hook ingress priority 0; devices = { lo }; }",
			"chain c { type filter hook forward priority 0; meta l4proto tcp flow add @f; }")},
		{hal.Capability{
			Name: "nft-destroy", What: "replace learned names in one step", Instead: "each name is looked up before it is replaced",
			Fix: rebuild + "Linux 6.3 or newer",
		}, tryDestroy},
		{hal.Capability{
			Name: "conntrack-accounting", What: "count the bytes of each connection", Instead: "counts by link alone",
			Fix: rebuild + "CONFIG_NF_CONNTRACK",
		}, trySysctl("net/netfilter/nf_conntrack_acct")},
		{hal.Capability{
			Name: "conntrack-timestamp", What: "know when a connection began", Instead: "the time at which the daemon first saw it",
			Fix: rebuild + "CONFIG_NF_CONNTRACK_TIMESTAMP",
		}, trySysctl("net/netfilter/nf_conntrack_timestamp")},
		{hal.Capability{
			Name: "conntrack-events", What: "hear of connections as they begin and end", Instead: "the connection table is read every few seconds",
			Fix: rebuild + "CONFIG_NF_CONNTRACK_EVENTS",
		}, trySysctl("net/netfilter/nf_conntrack_events")},
		{hal.Capability{
			Name: "htb", What: "share a link's bandwidth by device and application", Instead: "links are steered but not shaped",
			Fix: "on OpenWrt kmod-sched-core; else " + rebuild + "CONFIG_NET_SCH_HTB",
		}, tryQdisc("htb")},
		{hal.Capability{
			Name: "ifb", What: "shape downloads", Instead: "only uploads are shaped",
			Fix: "on OpenWrt kmod-ifb; else " + rebuild + "CONFIG_IFB",
		}, tryDevice("ifb")},
		{hal.Capability{
			Name: "tc-ingress", What: "send downloads through the shaper", Instead: "only uploads are shaped",
			Fix: "on OpenWrt kmod-sched-core; else " + rebuild + "CONFIG_NET_SCH_INGRESS and CONFIG_NET_ACT_MIRRED",
		}, tryQdisc("clsact")},
		{hal.Capability{
			Name: "cake", What: "short queues and fair shares in one", Instead: "fq_codel, or a short plain queue",
			Fix: "on Debian linux-modules-extra or a newer kernel, on OpenWrt kmod-sched-cake",
		}, tryQdisc("cake")},
		{hal.Capability{
			Name: "fq_codel", What: "short queues", Instead: "a short plain queue",
			Fix: "on OpenWrt kmod-sched-core; else " + rebuild + "CONFIG_NET_SCH_FQ_CODEL",
		}, tryQdisc("fq_codel")},
		{hal.Capability{
			Name: "netem", What: "emulate slow links in tests", Instead: "the lab's own link emulator",
			Fix: "nothing is missing on a router",
		}, tryQdisc("netem")},
		{hal.Capability{
			Name: "tun", What: "the bonding tunnel and the lab's links", Instead: "no bonding; each connection uses one link",
			Fix: "modprobe tun; on OpenWrt kmod-tun; in a container pass /dev/net/tun",
		}, tryTun},
		{hal.Capability{
			Name: "wireguard", What: "WireGuard links", Instead: "no WireGuard links",
			Fix: "modprobe wireguard; on OpenWrt kmod-wireguard",
		}, tryDevice("wireguard")},
	}
}
