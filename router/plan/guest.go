package plan

import (
	"fmt"
	"strings"

	"github.com/trenza-router/trenza/router/flow"
)

func (in Input) guestDevices() []string {
	var out []string
	for _, l := range in.LAN {
		if l.Guest {
			out = append(out, l.Device)
		}
	}
	return out
}

// guests are the chains of networks for guests; none where there is no such network. What the house itself opens to a guest passes, and so do the
// answers: only flows that guests begin are looked at.
func (in Input) guests() []Chain {
	if len(in.guestDevices()) == 0 {
		return nil
	}
	// The internet has no such addresses: behind a link they are a modem's page, or the network of the house's next router.
	private4 := []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"}
	private6 := []string{"fc00::/7", "fe80::/10"}
	refused := func(match string) string { return match + " counter reject with icmpx admin-prohibited" }
	ports := []string{"53"}
	if in.DNS.Redirect && in.DNS.Port != 0 && in.DNS.Port != 53 {
		ports = append(ports, fmt.Sprint(in.DNS.Port))
	}
	answers := []string{
		"ct state established,related accept",
		"udp sport 68 udp dport 67 accept",
		fmt.Sprintf("meta l4proto { tcp, udp } th dport { %s } accept", strings.Join(ports, ", ")),
		"meta l4proto icmp icmp type echo-request limit rate 10/second accept",
		"meta l4proto " + nftProto(flow.ProtoICMPv6) + " accept",
	}
	if in.BlockPage != 0 {
		answers = append(answers, fmt.Sprintf("tcp dport %d accept", in.BlockPage))
	}
	return []Chain{
		{Name: "guest_out", Comment: "what guests begin: to the internet, and nowhere else", Rules: []string{
			refused(fmt.Sprintf("oifname != %s", quoted(in.wanDevices()))),
			refused("ip daddr @near4"), refused("ip6 daddr @near6"),
			refused("ip daddr { " + strings.Join(private4, ", ") + " }"),
			refused("ip6 daddr { " + strings.Join(private6, ", ") + " }"),
		}},
		{Name: "from_guest", Comment: "what guests ask the router for: addresses, names and its being there", Rules: append(answers, "counter drop")},
	}
}
