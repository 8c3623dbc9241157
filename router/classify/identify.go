package classify

import (
	"fmt"
	"time"

	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
)

// Identity is what a flow is, as far as is known.
type Identity struct {
	Protocol   dpi.Protocol
	Host       string
	HostSource string // "tls", "quic" or "http" for what the flow said, "dns" for what its device asked; "" for what was seen at the address
	App        string // catalogue id; "" when no application is known
	Category   string // catalogue id
	Class      flow.NameClass
	Confidence int    // 0 to 100, of the application; without one of the host, else of the protocol. 0: nothing is known
	Reason     string // one plain sentence
}

// Confidence of each kind of knowledge, see the package's documentation.
const (
	sureWire        = 95
	sureDNS         = 90
	sureAnnounced   = 90
	sureSeen        = 80
	sureMixed       = 70
	sureCertificate = 70
	sureLearned     = 65
	sureECH         = 60
	surePrefix      = 40
	surePort        = 20
)

// Proven is the confidence of an answer that the flow gave itself, openly: good enough to act on a flow that runs.
const Proven = sureWire

// PortOnly is the confidence of an answer that only a port suggests: good enough to show, not to decide by. The kernel's maps
// do not know it.
const PortOnly = surePort

// Evidence is all that there is about one flow.
type Evidence struct {
	Clue    Clue         // from before its first packet
	Said    *dpi.Finding // what it said itself; nil when nothing could be read
	Refused bool         // its start was read, and it is none of the protocols that can be read
	// Announced is what another connection of its ends said that it would be, as the control connection of FTP does. Then what was read of
	// it is left out: it is of the file.
	Announced dpi.Protocol
}

// Identify says what a device's flow is, by the best knowledge there is at that time.
func (n *Names) Identify(device flow.DeviceID, key flow.Key, now time.Time) Identity {
	n.mu.Lock()
	e := Evidence{Clue: n.recall(device, key, now)}
	if w := n.flows.Peek(key); w != nil && now.Before(w.expires) {
		said := w.said
		e.Said = &said
	}
	n.mu.Unlock()
	return n.Judge(device, key, e, now)
}

// Said is what a running flow said of itself, as far as it was read.
func (n *Names) Said(key flow.Key, now time.Time) (dpi.Finding, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w := n.flows.Peek(key); w != nil && now.Before(w.expires) {
		return w.said, true
	}
	return dpi.Finding{}, false
}

// Judge weighs the evidence about a device's flow, in the order of trust.
func (n *Names) Judge(device flow.DeviceID, key flow.Key, e Evidence, now time.Time) Identity {
	var id Identity
	n.judgeHost(&id, device, key, e, now)
	hint, hinted := catalog.App{}, false
	if e.Said != nil {
		hint, hinted = n.catalog.Protocol(e.Said.Protocol.String())
	}
	named, isNamed := n.catalog.Lookup(id.Host)
	switch {
	case isNamed && (id.Confidence >= sureWire || !hinted):
		id.App, id.Category = named.ID, named.Category
	case hinted:
		n.setApp(&id, hint, int(e.Said.Confidence), fmt.Sprintf("only %s speaks %s", hint.Names.EN, e.Said.Protocol))
	case id.Host == "" && e.Clue.app != "":
		app, _ := n.catalog.App(e.Clue.app)
		n.setApp(&id, app, sureLearned, fmt.Sprintf("other flows to %s %s spoke as only %s does", key.Proto, key.Dst, app.Names.EN))
	case id.Host == "":
		n.judgeWithoutHost(&id, key, e)
	}
	n.judgeProtocol(&id, key, e)
	return id
}

// judgeHost decides which host the flow goes to.
func (n *Names) judgeHost(id *Identity, device flow.DeviceID, key flow.Key, e Evidence, now time.Time) {
	said := e.Said
	spoke := said != nil && said.NamesServer()
	switch {
	case spoke && !said.ECH && !said.Front:
		id.Confidence, id.Reason = sureWire, fmt.Sprintf("the flow itself named %s (%s)", said.Host, said.Source)
	case spoke && !said.Front && (e.Clue.FromDNS() && e.Clue.Host == said.Host || n.wasAsked(device, said.Host, now)):
		id.Confidence, id.Reason = sureWire, fmt.Sprintf("the flow itself named %s (%s), and this device asked for that name", said.Host, said.Source)
	case spoke && !e.Clue.FromDNS():
		id.Confidence, id.Reason = sureECH, fmt.Sprintf("the flow named %s (%s), but its hello may hide another name", said.Host, said.Source)
	case e.Clue.Host != "":
		id.Host, id.Confidence, id.Reason = e.Clue.Host, e.Clue.confidence(), e.Clue.reason(key)
		if e.Clue.FromDNS() {
			id.HostSource = "dns"
		}
	}
	if id.Confidence > 0 && id.Host == "" {
		id.Host, id.HostSource = said.Host, said.Source.String()
	}
	if id.Host != "" {
		id.Class, _ = n.interner.Intern(id.Host)
	}
}

// judgeWithoutHost finds an application for a flow of which no host is known and whose protocol tells none.
func (n *Names) judgeWithoutHost(id *Identity, key flow.Key, e Evidence) {
	if s := e.Said; s != nil && s.Source == dpi.SourceCertificate {
		if app, ok := n.catalog.Lookup(s.Host); ok {
			n.setApp(id, app, sureCertificate, "the server showed a certificate of "+s.Host)
			return
		}
	}
	if app, ok := n.catalog.Prefix(key.Dst.Addr()); ok {
		n.setApp(id, app, surePrefix, fmt.Sprintf("the address %s belongs to %s", key.Dst.Addr(), app.Names.EN))
	} else if app, ok := n.catalog.Port(key.Proto, key.Dst.Port()); ok {
		n.setApp(id, app, surePort, fmt.Sprintf("%s port %d is usual for %s", key.Proto, key.Dst.Port(), app.Names.EN))
	}
}

func (n *Names) setApp(id *Identity, a catalog.App, confidence int, reason string) {
	id.App, id.Category, id.Class, id.Confidence, id.Reason = a.ID, a.Category, n.interner.AppClass(a.ID), confidence, reason
}

// judgeProtocol decides what the flow speaks, and completes the reason.
func (n *Names) judgeProtocol(id *Identity, key flow.Key, e Evidence) {
	var confidence int
	var reason string
	switch guess, guessed := PortProtocol(key.Proto, key.Dst.Port()); {
	case e.Announced != dpi.Unknown:
		id.Protocol, confidence = e.Announced, sureAnnounced
		reason = fmt.Sprintf("another connection announced this one, for %s", e.Announced)
	case e.Said != nil && e.Said.Protocol != dpi.Unknown:
		id.Protocol, confidence = e.Said.Protocol, int(e.Said.Confidence)
		reason = fmt.Sprintf("the flow speaks %s", id.Protocol)
		if n.isDoH(id, key) {
			id.Protocol, reason = dpi.DoH, fmt.Sprintf("%s answers DNS over HTTPS", id.Host)
			id.Reason += "; " + reason
		}
	case ipProtocol(key.Proto) != dpi.Unknown:
		id.Protocol, confidence = ipProtocol(key.Proto), sureWire
		reason = fmt.Sprintf("the IP header says %s", id.Protocol)
	case guessed && !(e.Refused && n.readable[spoken{key.Proto, guess}]):
		id.Protocol, confidence = guess, surePort
		reason = fmt.Sprintf("nothing is known but the port: %s %d is usual for %s", key.Proto, key.Dst.Port(), guess)
		if id.Confidence > 0 {
			id.Reason += fmt.Sprintf("; %s by %s port %d alone", guess, key.Proto, key.Dst.Port())
		}
	case e.Refused:
		reason = "what it says is none of the protocols that can be read"
	default:
		reason = fmt.Sprintf("nothing is known about %s", key.Dst)
	}
	if id.Confidence == 0 {
		id.Confidence, id.Reason = confidence, reason
	}
}

// isDoH tells that a web flow goes to a known public resolver.
func (n *Names) isDoH(id *Identity, key flow.Key) bool {
	return key.Dst.Port() == 443 && (id.Protocol == dpi.TLS || id.Protocol == dpi.QUIC) && n.resolvers.covers(id.Host)
}

// spoken is a protocol over a transport.
type spoken struct {
	over     flow.Proto
	protocol dpi.Protocol
}

// readableProtocols are those that dpi would recognise from the start of any flow. QUIC is not: a capture or a router may see a connection only after
// its hello, and then nothing tells it from other bytes.
func readableProtocols() map[spoken]bool {
	m := map[spoken]bool{}
	for _, p := range dpi.Parsers() {
		if p.Protocol != dpi.QUIC {
			m[spoken{p.Over, p.Protocol}] = true
		}
	}
	return m
}
