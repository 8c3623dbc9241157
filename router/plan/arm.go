package plan

import (
	"fmt"
	"slices"

	"github.com/trenza-router/trenza/router/flow"
)

// arms are the links whose device is also a LAN's: the router stands in the household's network on one leg, beside the house's own router,
// which is the link's gateway. Hosts that were told to use it as their gateway send to it what leaves the house by the same device. There the
// interface does not tell what comes from the household and what from the internet; the source address does, and of a connection its direction.
func (in Input) arms() (out []Link) {
	lan := in.lanDevices()
	for _, l := range in.Links {
		if slices.Contains(lan, l.Device) {
			out = append(out, l)
		}
	}
	return out
}

// legs are names of devices without those of arms.
func (in Input) legs(devices []string) []string {
	arms := in.arms()
	return slices.DeleteFunc(slices.Clone(devices), func(d string) bool {
		return slices.ContainsFunc(arms, func(l Link) bool { return l.Device == d })
	})
}

func (in Input) armDevices() (out []string) {
	for _, l := range in.arms() {
		out = append(out, l.Device)
	}
	return out
}

// fromArm sorts what comes in by an arm. Answers from the internet to the household keep no mark: with their link's, they would be
// sent back to its gateway. What is answered to a connection from outside has that connection's, whose link it came in by.
func (in Input) fromArm() (out []Chain) {
	for _, l := range in.arms() {
		out = append(out, Chain{Name: fmt.Sprintf("from_arm_%d", l.ID), Comment: "the household and a link on one device", Rules: []string{
			fmt.Sprintf("ct direction reply ct mark & %#x != 0 meta mark set ct mark accept", uint32(flow.InboundBit)),
			"ct direction reply accept",
			fmt.Sprintf("ct mark & %#x != 0 meta mark set ct mark accept", uint32(decided&^flow.InboundBit)),
			"ct state established,related accept",
			"ip saddr @near4 goto from_lan",
			"ip6 saddr @near6 goto from_lan",
			fmt.Sprintf("goto from_link_%d", l.ID),
		}})
	}
	return out
}

// stayPut keeps hosts behind an arm from being told that the gateway is nearer, which is true and not wanted. For IPv4 the kernel has a switch,
// which is off; for IPv6 it has none.
func (in Input) stayPut() []Chain {
	arms := in.armDevices()
	if len(arms) == 0 {
		return nil
	}
	return []Chain{{Name: "stay_put", Hook: "type filter hook output priority filter; policy accept;", Comment: "no redirects past the router", Rules: []string{
		fmt.Sprintf("oifname %s icmp type redirect drop", quoted(arms)),
		fmt.Sprintf("oifname %s icmpv6 type nd-redirect drop", quoted(arms)),
	}}}
}

// outward matches what the household sends to the internet.
func (in Input) outward() string {
	way := fmt.Sprintf("iifname %s oifname %s ", anyOf(in.lanDevices()), anyOf(in.wanDevices()))
	if len(in.arms()) > 0 {
		way += "ct direction original " // answers come and go by an arm, too
	}
	return way
}
