package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// Names of the maps that the daemon fills while it runs.
const (
	MapNames4   = "names4"   // (device mark, address) -> label
	MapNames6   = "names6"   //
	MapLearned4 = "learned4" // (address, protocol, port) -> label, taught by any device's flows
	MapLearned6 = "learned6" //
)

// learnedSize bounds each learned map: at about 200 bytes an element 13 MB of kernel memory when full.
const learnedSize = 65536

// copiedPackets is how many of a flow's first packets may be copied for its name: a TLS ClientHello with
// post-quantum keys takes two segments after the handshake's two packets, QUIC's first flight up to four.
const copiedPackets = 6

func quoted(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = fmt.Sprintf("%q", n)
	}
	return "{ " + strings.Join(q, ", ") + " }"
}

// anyOf matches one of some names; without a set, which would cost a lookup, when there is one.
func anyOf(names []string) string {
	if len(names) == 1 {
		return fmt.Sprintf("%q", names[0])
	}
	return quoted(names)
}

// maps are the named maps of the table.
func (in Input) maps() []Map {
	macs := Map{Name: "macs", Type: "ether_addr : mark"}
	hosts4 := Map{Name: "hosts4", Type: "ipv4_addr : mark"}
	hosts6 := Map{Name: "hosts6", Type: "ipv6_addr : mark"}
	for _, d := range in.Devices {
		mark := fmt.Sprintf("%#x", uint32(d.Number.Mark()))
		for _, m := range d.MACs {
			macs.Elements = append(macs.Elements, m.String()+" : "+mark)
		}
		for _, a := range d.Addrs {
			if a.Unmap().Is4() {
				hosts4.Elements = append(hosts4.Elements, a.Unmap().String()+" : "+mark)
			} else {
				hosts6.Elements = append(hosts6.Elements, a.WithZone("").String()+" : "+mark)
			}
		}
	}
	near4 := Map{Name: "near4", Set: true, Type: "ipv4_addr", Flags: "interval"}
	near6 := Map{Name: "near6", Set: true, Type: "ipv6_addr", Flags: "interval"}
	near := []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("224.0.0.0/4"),
		netip.MustParsePrefix("255.255.255.255/32"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
	}
	for _, l := range in.LAN {
		near = append(near, l.Nets...)
	}
	near4.Elements, near6.Elements = texts(disjoint(near, false)), texts(disjoint(near, true))
	prefix4 := Map{Name: "prefix4", Type: "ipv4_addr : mark", Flags: "interval", Elements: in.prefixElements(false)}
	prefix6 := Map{Name: "prefix6", Type: "ipv6_addr : mark", Flags: "interval", Elements: in.prefixElements(true)}
	out := []Map{macs, hosts4, hosts6, near4, near6, prefix4, prefix6}
	for i := range out {
		slices.Sort(out[i].Elements)
		out[i].Elements = slices.Compact(out[i].Elements)
	}
	for _, m := range []Map{
		{Name: MapNames4, Type: "mark . ipv4_addr : mark"},
		{Name: MapNames6, Type: "mark . ipv6_addr : mark"},
		{Name: MapLearned4, Type: "ipv4_addr . inet_proto . inet_service : mark"},
		{Name: MapLearned6, Type: "ipv6_addr . inet_proto . inet_service : mark"},
	} {
		m.Flags, m.Size, m.Learned = "timeout", learnedSize, true
		out = append(out, m)
	}
	return out
}

func texts(prefixes []netip.Prefix) []string {
	var out []string
	for _, p := range prefixes {
		out = append(out, p.String())
	}
	return out
}

// prefixElements are the catalogue's address ranges of one family. Where ranges lie in each other the narrowest holds; nft
// takes intervals only if they do not overlap.
func (in Input) prefixElements(v6 bool) []string {
	all := make(ruleSet, len(in.Prefixes))
	for i := range all {
		all[i] = i
	}
	var out []string
	for _, s := range addrSpans(all, func(i int) *policy.What {
		return &policy.What{Addresses: []netip.Prefix{in.Prefixes[i].Prefix}}
	}, v6) {
		narrowest := slices.MaxFunc(s.rules, func(a, b int) int {
			return in.Prefixes[a].Prefix.Bits() - in.Prefixes[b].Prefix.Bits()
		})
		label := flow.MakeLabel(in.Prefixes[narrowest].Class, 0)
		out = append(out, fmt.Sprintf("%s : %#x", interval(s.first.String(), s.last.String()), uint32(label)))
	}
	return out
}

// identify is the chain that finds out who and what a new flow is: the device's mark goes into the connection's mark, the
// destination's label into the packet's.
func identify() Chain {
	return Chain{Name: "identify", Comment: "who: the device's mark, by Ethernet address, else by address", Rules: []string{
		"ct mark set ether saddr map @macs",
		"ct mark == 0 ct mark set ip saddr map @hosts4",
		"ct mark == 0 ct mark set ip6 saddr map @hosts6",
		"meta mark set ct mark",
		"jump label",
		"goto judge",
	}}
}

// label is the chain that labels a flow's destination; the packet's mark is the device's mark on entry.
func label() Chain {
	unlabelled := fmt.Sprintf("meta mark < %#x ", uint32(flow.LabelBit))
	return Chain{Name: "label", Comment: "what: own name query, then what others' flows taught, then address ranges", Rules: []string{
		"meta mark set meta mark . ip daddr map @" + MapNames4,
		"meta mark set meta mark . ip6 daddr map @" + MapNames6,
		unlabelled + "meta mark set ip daddr . meta l4proto . th dport map @" + MapLearned4,
		unlabelled + "meta mark set ip6 daddr . meta l4proto . th dport map @" + MapLearned6,
		unlabelled + "meta mark set ip daddr map @prefix4",
		unlabelled + "meta mark set ip6 daddr map @prefix6",
		unlabelled + "meta mark set 0",
	}}
}

// dispatch is the chain that judges: it goes by the device. Profiles that equal the fallback, that of devices never seen before, are left out.
func dispatch(profiles map[flow.DeviceID]string, fallback string) Chain {
	b := branches{expr: fmt.Sprintf("ct mark & %#x", uint32(flow.DeviceMask)), fallback: fallback}
	for _, d := range sortedKeys(profiles) {
		b.add(fmt.Sprintf("%#x", uint32(d.Mark())), profiles[d])
	}
	return Chain{Name: "judge", Rules: append(b.rule(), "goto "+fallback)}
}

// decided are the bits of which a connection has one once its link is chosen, or refused.
const decided = flow.JudgedBit | flow.InboundBit | flow.BlockedBit

// newFlow matches the first packet of a connection that nobody has judged. A flow that the daemon called back by deleting its
// entry is such a connection again.
func newFlow() string {
	return fmt.Sprintf("ct state new ct mark & %#x == 0", uint32(decided))
}

func (in Input) lanDevices() []string {
	var out []string
	for _, l := range in.LAN {
		out = append(out, l.Device)
	}
	return out
}

func (in Input) wanDevices() []string {
	var out []string
	for _, l := range in.Links {
		out = append(out, l.Device)
	}
	return out
}

// fromLAN steers the household's packets. Replies to connections from outside come by here too, and take the link
// that their connection came in by.
func (in Input) fromLAN() Chain {
	rules := []string{
		"fib daddr type { local, broadcast, multicast, anycast } return",
		"ip daddr @near4 return",
		"ip6 daddr @near6 return",
	}
	if in.DNS.Redirect {
		rules = append(rules, "meta l4proto { tcp, udp } th dport 53 return")
	}
	return Chain{Name: "from_lan", Rules: append(rules, newFlow()+" jump identify", "meta mark set ct mark")}
}

// fromLink remembers the link that a connection from outside came in by. Marks are never restored here: a reply to a
// LAN host that carried a link's mark would be routed back out of it.
func (in Input) fromLink() []Chain {
	var out []Chain
	for _, l := range in.Links {
		bits := uint32(l.ID.Mark() | flow.InboundBit)
		out = append(out, Chain{Name: fmt.Sprintf("from_link_%d", l.ID), Rules: []string{
			fmt.Sprintf("ct state new ct mark == 0 ct mark set %#x", bits),
		}})
	}
	return out
}

// prerouting decides about first packets. Everything after them has to be quick: the household's packets get their
// connection's mark back, all others pass.
func (in Input) prerouting() Chain {
	var rules, elements []string
	for _, l := range in.arms() {
		rules = append(rules, fmt.Sprintf("iifname %q goto from_arm_%d", l.Device, l.ID))
	}
	lan := in.legs(in.lanDevices())
	for _, d := range lan {
		elements = append(elements, fmt.Sprintf("%q : goto from_lan", d))
	}
	for _, l := range in.Links {
		if !slices.Contains(in.armDevices(), l.Device) {
			elements = append(elements, fmt.Sprintf("%q : goto from_link_%d", l.Device, l.ID))
		}
	}
	if len(lan) > 0 {
		rules = append(rules, fmt.Sprintf("iifname %s ct mark & %#x != 0 meta mark set ct mark accept", anyOf(lan), uint32(decided)))
	}
	rules = append(rules, "ct state established,related accept")
	if len(elements) > 0 {
		rules = append(rules, "iifname vmap { "+strings.Join(elements, ", ")+" }")
	}
	return Chain{Name: "prerouting", Hook: "type filter hook prerouting priority mangle; policy accept;", Rules: rules}
}

// output steers the router's own traffic. A socket that set its own mark (a probe, a query to a link's name server) has
// chosen its link already.
func (in Input) output() Chain {
	return Chain{Name: "output", Hook: "type route hook output priority mangle; policy accept;", Rules: append(in.strands(),
		"meta mark != 0 return",
		"fib daddr type { local, broadcast, multicast, anycast } return",
		"ip daddr @near4 return",
		"ip6 daddr @near6 return",
		newFlow()+" jump own_flow",
		// A reset for the far end of a refused flow of the household must go out, over the flow's link.
		fmt.Sprintf("ct mark & %#x == %#x goto refuse", uint32(flow.BlockedBit|flow.DeviceMask), uint32(flow.BlockedBit|flow.RouterDevice.Mark())),
		"meta mark set ct mark",
	)}
}

func ownFlow(profile string) Chain {
	device := uint32(flow.RouterDevice.Mark())
	return Chain{Name: "own_flow", Rules: []string{
		fmt.Sprintf("ct mark set %#x", device),
		fmt.Sprintf("meta mark set %#x", device),
		"jump label",
		"goto " + profile,
	}}
}

// dstnat answers name queries and leads forwarded ports to their devices.
func (in Input) dstnat() Chain {
	lan := quoted(in.lanDevices())
	var rules []string
	if in.DNS.Redirect {
		for _, p := range []string{"udp", "tcp"} {
			rules = append(rules, fmt.Sprintf("iifname %s %s dport 53 redirect to :%d", lan, p, in.DNS.Port))
		}
	}
	if in.BlockPage != 0 { // a flow without a link (it has a choice) is refused as ever: that passes
		rules = append(rules, fmt.Sprintf("iifname %s tcp dport 80 ct mark & %#x == %#x redirect to :%d",
			lan, uint32(flow.ChoiceMask|flow.BlockedBit), uint32(flow.BlockedBit), in.BlockPage))
	}
	for _, f := range in.Forwards {
		family, to := "ip", f.To.String()
		if f.To.Addr().Is6() {
			family = "ip6"
		}
		match := fmt.Sprintf("meta nfproto %s %s dport %d", map[string]string{"ip": "ipv4", "ip6": "ipv6"}[family], f.Proto, f.Port)
		if wan := in.legs(in.wanDevices()); len(wan) > 0 {
			rules = append(rules, fmt.Sprintf("iifname %s %s dnat %s to %s", quoted(wan), match, family, to))
		}
		if arms := in.armDevices(); len(arms) > 0 { // what the household sends out by the same device goes to others
			rules = append(rules, fmt.Sprintf("iifname %s fib daddr type local %s saddr != @near%s %s dnat %s to %s",
				quoted(arms), family, map[string]string{"ip": "4", "ip6": "6"}[family], match, family, to))
		}
		// A LAN host that asks for the house's public address reaches the device, too.
		rules = append(rules, fmt.Sprintf("iifname %s fib daddr type local %s daddr != @near%s %s dnat %s to %s",
			lan, family, map[string]string{"ip": "4", "ip6": "6"}[family], match, family, to))
	}
	return Chain{Name: "dstnat", Hook: "type nat hook prerouting priority dstnat; policy accept;", Rules: rules}
}

// srcnat gives every packet the address of its link, in both families: see docs/ARCHITECTURE.md for why IPv6 is
// masqueraded too.
func (in Input) srcnat() Chain {
	lan := quoted(in.lanDevices())
	masquerade := fmt.Sprintf("oifname %s masquerade", quoted(in.wanDevices()))
	var hairpin []string
	if len(in.Forwards) > 0 {
		hairpin = []string{fmt.Sprintf("iifname %s oifname %s ct status dnat masquerade", lan, lan)}
	}
	rules := append([]string{masquerade}, hairpin...)
	if arms := in.armDevices(); len(arms) > 0 { // what leaves by an arm for the household keeps its address
		rules = append(hairpin, fmt.Sprintf("oifname %s ip daddr @near4 accept", quoted(arms)),
			fmt.Sprintf("oifname %s ip6 daddr @near6 accept", quoted(arms)), masquerade)
	}
	return Chain{Name: "srcnat", Hook: "type nat hook postrouting priority srcnat; policy accept;", Rules: rules}
}

// runningRefused are the bits that tell how a flow ends that ran when it was refused: one that never began has a choice, or no class.
const runningRefused = flow.ChoiceMask | flow.AppMask | flow.BlockedBit

// refuse answers a flow that must not pass: a policy's block, or (with a choice in its mark) a choice without a link.
//
// TCP gets a reset: unlike ICMP errors, of which the kernel sends a host no more than one a second (ip-sysctl,
// icmp_ratelimit), it is never left out because another program of the host was just refused. UDP programs are told
// of "prohibited" but never of "no route", which their kernel takes for a passing trouble (RFC 1122, section 4.2.3.9).
func refuse() Chain {
	return Chain{Name: "refuse", Rules: []string{
		fmt.Sprintf("ct mark & %#x == %#x drop", uint32(runningRefused), uint32(flow.SilentlyBlocked)),
		// The client alone would be told, and its connection known to be over: the server's packets would then be dropped as nobody's.
		fmt.Sprintf("meta l4proto tcp ct direction original ct mark & %#x == %#x ct mark set ct mark & %#x tcp flags set rst accept",
			uint32(runningRefused), uint32(flow.ResetBoth), ^uint32(flow.ResetBoth&^flow.BlockedBit)),
		"meta l4proto tcp reject with tcp reset",
		fmt.Sprintf("meta l4proto != udp ct mark & %#x != 0 reject with icmpx no-route", uint32(flow.ChoiceMask)),
		"reject with icmpx admin-prohibited",
	}}
}

// forward enforces verdicts, keeps strangers out and sends copies of first packets to the daemon.
func (in Input) forward() Chain {
	wan := quoted(in.wanDevices())
	rules := []string{
		// What is neither refused nor of interest any more passes first: most packets by far. The check for the bit is only
		// for safety, since a refused connection is never established.
		fmt.Sprintf("ct original packets > %d ct state established ct mark & %#x == 0 accept", copiedPackets, uint32(flow.BlockedBit)),
		fmt.Sprintf("ct mark & %#x != 0 goto refuse", uint32(flow.BlockedBit)),
	}
	if guests := in.guestDevices(); len(guests) > 0 {
		rules = append(rules, fmt.Sprintf("iifname %s ct direction original jump guest_out", quoted(guests)))
	}
	if len(in.arms()) > 0 { // strangers, whose packets leave by a link's device too
		rules = append(rules, fmt.Sprintf("ct direction original ct mark & %#x != 0 goto to_lan", uint32(flow.InboundBit)))
	}
	return Chain{Name: "forward", Hook: "type filter hook forward priority filter; policy accept;", Rules: append(rules,
		fmt.Sprintf("oifname %s goto to_link", wan),
		fmt.Sprintf("iifname %s goto to_lan", wan),
	)}
}

func (in Input) toLink() Chain {
	return Chain{Name: "to_link", Rules: []string{
		"ct state invalid drop",
		"tcp flags syn / syn,rst tcp option maxseg size set rt mtu",
		fmt.Sprintf("ct direction original meta l4proto { tcp, udp } meta length > 100 ct original packets <= %d log group %d snaplen 2048",
			copiedPackets, NamesGroup),
	}}
}

func (in Input) toLAN() Chain {
	return Chain{Name: "to_lan", Rules: []string{
		"tcp flags syn / syn,rst tcp option maxseg size set rt mtu",
		"ct state established,related accept",
		"ct status dnat accept",
		"counter drop",
	}}
}

// input protects the router itself from the internet side.
func (in Input) input() Chain {
	var rules []string
	if arms := in.armDevices(); len(arms) > 0 {
		rules = append(rules, fmt.Sprintf("iifname %s ip saddr @near4 accept", quoted(arms)), fmt.Sprintf("iifname %s ip6 saddr @near6 accept", quoted(arms)))
	}
	rules = append(rules, fmt.Sprintf("iifname %s goto from_internet", quoted(in.wanDevices())))
	if guests := in.guestDevices(); len(guests) > 0 {
		rules = append(rules, fmt.Sprintf("iifname %s goto from_guest", quoted(guests)))
	}
	return Chain{Name: "input", Hook: "type filter hook input priority filter; policy accept;", Rules: rules}
}

func fromInternet() Chain {
	return Chain{Name: "from_internet", Rules: []string{
		"ct state established,related accept",
		"meta l4proto icmp icmp type { destination-unreachable, time-exceeded, parameter-problem } accept",
		"meta l4proto icmp icmp type echo-request limit rate 10/second accept",
		// RFC 4890 section 4.4: errors, neighbour discovery and multicast listener messages must pass.
		"meta l4proto " + nftProto(flow.ProtoICMPv6) + " icmpv6 type != echo-request accept",
		"meta l4proto " + nftProto(flow.ProtoICMPv6) + " limit rate 10/second accept",
		"udp sport 67 udp dport 68 accept",
		"ip6 saddr fe80::/10 udp dport 546 accept",
		"counter drop",
	}}
}
