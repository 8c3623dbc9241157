package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// DeepGroup is the number of the nft queue, or of the NFLOG group where the kernel has no queue, to which the first packets of flows go
// that a rule about content means.
const DeepGroup = 79

// unread is the chain of devices that no rule about content means.
const unread = "unread"

// deepBytes is how much of a packet is looked at.
const deepBytes = 4096

// gaze is what a device's rules about content look at: the transports, and of each the ports towards which it goes.
type gaze struct{ tcp, udp []portRange }

// portRange is a range of ports, inclusive.
type portRange struct{ first, last uint16 }

const everyPort = 1<<16 - 1

// gazeOf adds up what rules about content look at. Names and addresses do not narrow it: what is looked at is then decided whole.
func gazeOf(p *policy.Compiled, rules ruleSet) gaze {
	var g gaze
	for _, i := range rules {
		w := &p.Rule(i).What
		services := w.Services
		if len(services) == 0 {
			services = []policy.Service{{Proto: flow.ProtoTCP}, {Proto: flow.ProtoUDP}}
		}
		overTCP := len(w.HTTP.Hosts)+len(w.HTTP.Paths) > 0
		for _, s := range services {
			span := portRange{s.First, s.Last}
			if s.First == 0 && s.Last == 0 {
				span = portRange{0, everyPort}
			}
			switch {
			case s.Proto == flow.ProtoTCP:
				g.tcp = append(g.tcp, span)
			case s.Proto == flow.ProtoUDP && !overTCP:
				g.udp = append(g.udp, span)
			}
		}
	}
	g.tcp, g.udp = joined(g.tcp), joined(g.udp)
	return g
}

// joined is the same ports in spans that do not touch.
func joined(spans []portRange) []portRange {
	slices.SortFunc(spans, func(a, b portRange) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last)) })
	var out []portRange
	for _, s := range spans {
		if n := len(out); n > 0 && int(s.first) <= int(out[n-1].last)+1 {
			out[n-1].last = max(out[n-1].last, s.last)
			continue
		}
		out = append(out, s)
	}
	return out
}

// rules send up the packets that the gaze is at; port says on which side of the packet the server is.
func (g gaze) rules(send, port string) []string {
	var out []string
	for _, t := range []struct {
		name  string
		spans []portRange
	}{{"tcp", g.tcp}, {"udp", g.udp}} {
		var ports []string
		for _, s := range t.spans {
			switch {
			case s == portRange{0, everyPort}:
				out = append(out, fmt.Sprintf("meta l4proto %s %s", t.name, send))
			case s.first == s.last:
				ports = append(ports, fmt.Sprint(s.first))
			default:
				ports = append(ports, fmt.Sprintf("%d-%d", s.first, s.last))
			}
		}
		if len(ports) > 0 {
			out = append(out, fmt.Sprintf("%s %s { %s } %s", t.name, port, strings.Join(ports, ", "), send))
		}
	}
	return out
}

// deep is the path of flows that have to be looked into; nothing when no rule that is active asks for it. It stands before the chain that refuses, so
// that a held packet whose flow was refused is answered there.
//
// Most packets pass at the first rule: only the first packets of a flow come further. What is realtime is not made to wait. Where packets are
// held, "bypass" lets them pass when nobody is there to judge them.
func (in Input) deep() []Chain {
	send := fmt.Sprintf("counter log group %d snaplen %d", DeepGroup, deepBytes)
	if in.Queue {
		send = fmt.Sprintf("counter queue flags bypass to %d", DeepGroup)
	}
	looks := newChainSet()
	asked := in.lookers(looks, send)
	if len(looks.list) == 0 {
		return nil
	}
	wan := quoted(in.wanDevices())
	out := append(looks.list, Chain{Name: unread, Rules: []string{"accept"}})
	answers := "accept"
	if asked.answers.isAsked() {
		answers = "goto deep_answers"
		out = append(out, Chain{Name: "deep_answers", Rules: append([]string{
			fmt.Sprintf("ct reply packets > %d accept", copiedPackets),
			fmt.Sprintf("iifname != %s accept", wan),
			bare,
		}, asked.answers.ways()...)})
	}
	if in.Queue {
		out = append(out, Chain{Name: "deep_judged", Hook: "type filter hook forward priority filter - 1; policy accept;",
			Comment: "a flow that its judge has ended goes to be refused",
			Rules:   []string{fmt.Sprintf("meta mark & %#x != 0 ct mark set meta mark", uint32(flow.BlockedBit))}})
	}
	return append(out, Chain{Name: "deep", Hook: "type filter hook forward priority filter - 2; policy accept;",
		Comment: "flows that a rule about content means: their first packets are looked into", Rules: append([]string{
			fmt.Sprintf("ct original packets > %d accept", copiedPackets),
			fmt.Sprintf("ct mark & %#x != %#x accept", uint32(decided), uint32(flow.JudgedBit)),
			fmt.Sprintf("ct mark & %#x { %s } accept", uint32(flow.AppMask), strings.Join(realtime(in.Policy), ", ")),
			"ct direction reply " + answers,
			fmt.Sprintf("oifname != %s accept", wan),
			bare,
		}, asked.questions.ways()...)})
}

// bare is a TCP segment without payload and with few options: an acknowledgement.
const bare = "meta l4proto tcp meta length <= 52 accept"

// lookers lead each device's packets to the chain that sends up those that its rules mean: what the client says, and what it is answered.
type lookers struct{ questions, answers branches }

func (in Input) lookers(looks *chainSet, send string) lookers {
	look := func(s policy.Subject) (question, answer string) {
		question, answer = unread, unread
		rules := slices.DeleteFunc(in.Policy.Active(s, in.Now), func(i int) bool { return !in.Policy.HasContent(i) })
		if len(rules) > 0 {
			question, _ = looks.addHashed("look", gazeOf(in.Policy, rules).rules(send, "dport"))
		}
		// Most protocols are only certain when both sides have spoken.
		rules = slices.DeleteFunc(rules, func(i int) bool { return len(in.Policy.Rule(i).What.Protocols) == 0 })
		if len(rules) > 0 {
			answer, _ = looks.addHashed("look", gazeOf(in.Policy, rules).rules(send, "sport"))
		}
		return question, answer
	}
	var out lookers
	out.questions.expr = fmt.Sprintf("ct mark & %#x", uint32(flow.DeviceMask))
	out.answers.expr = out.questions.expr
	out.questions.fallback, out.answers.fallback = look(policy.Subject{})
	devices := slices.Clone(in.Devices)
	slices.SortFunc(devices, func(a, b Device) int { return cmp.Compare(a.Number, b.Number) })
	for _, d := range devices {
		question, answer := look(in.Policy.Subject(d.ID))
		out.questions.add(fmt.Sprintf("%#x", uint32(d.Number.Mark())), question)
		out.answers.add(fmt.Sprintf("%#x", uint32(d.Number.Mark())), answer)
	}
	return out
}

// isAsked tells whether any way leads to a chain that looks.
func (b *branches) isAsked() bool { return b.fallback != unread || len(b.elements) > 0 }

// ways are the rules that go each way.
func (b *branches) ways() []string { return append(b.rule(), "goto "+b.fallback) }

// realtime are the classes of calls and games: that of the name, and those that only rules for realtime flows have for themselves.
func realtime(p *policy.Compiled) []string {
	const name = "realtime"
	only := map[flow.AppClass]bool{flow.AppClass(slices.Index(policy.ClassNames(), name) + 1): true}
	for i := range p.Len() {
		if own := p.OwnClass(i); own != 0 {
			before, seen := only[own]
			only[own] = p.Rule(i).QoS.Class == name && (before || !seen)
		}
	}
	var out []string
	for _, c := range sortedKeys(only) {
		if only[c] {
			out = append(out, fmt.Sprintf("%#x", uint32(c.Mark())))
		}
	}
	return out
}
