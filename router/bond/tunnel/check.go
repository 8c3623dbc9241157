package tunnel

import (
	"errors"
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/router/bond"
	"github.com/trenza-router/trenza/router/bond/carrier"
	"github.com/trenza-router/trenza/router/bond/seal"
)

// A check asks whether one carrier of a path serves, whatever carrier the path's packets go over: a sealed datagram of the path's number plus
// bond.MaxPaths, whose frame is one byte. Who gets a question answers it over the carrier by which it came; neither moves the path.
const (
	checkAsk = iota + 1
	checkAnswer
)

// checks are those of a path.
type checks struct {
	next     uint64 // number of the next one; it only grows, also from one life of the bond to the next
	answered carrier.Datagrams
	from     netip.AddrPort
	at       time.Duration
}

// errCheck is a check that is none.
var errCheck = errors.New("the other end sent a check that is neither question nor answer")

// Ask sends a question over a carrier of a path. It leaves with the carrier's next Flush.
func (l *Line) Ask(id bond.PathID, by carrier.Datagrams, to netip.AddrPort, now time.Duration) {
	l.say(id, checkAsk, by, to, netip.Addr{}, now)
}

func (l *Line) say(id bond.PathID, what byte, by carrier.Datagrams, to netip.AddrPort, from netip.Addr, now time.Duration) {
	if by.Full() {
		_ = by.Flush() // what is lost is asked again
	}
	c := &l.checks[id]
	datagram, err := l.Peer.Seal(by.Room(), uint8(id)+bond.MaxPaths, c.next, []byte{what}, now)
	if err != nil {
		return // there is no session to ask about
	}
	c.next++
	by.Queue(datagram, to, from)
}

// check takes a question or an answer.
func (l *Line) check(r seal.Result, by carrier.Datagrams, a carrier.Arrived, now time.Duration) error {
	id := bond.PathID(r.Path - bond.MaxPaths)
	switch {
	case len(r.Frame) == 0:
	case r.Frame[0] == checkAsk:
		l.say(id, checkAnswer, by, a.From, a.To, now)
		return nil
	case r.Frame[0] == checkAnswer:
		c := &l.checks[id]
		c.answered, c.from, c.at = by, a.From, now
		return nil
	}
	return errCheck
}
