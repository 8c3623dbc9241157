package resolver

import (
	"sync/atomic"
	"time"
)

// Stats count since the start.
type Stats struct {
	Queries   uint64 // accepted, of both transports
	Malformed uint64 // queries that no answer can be given to
	Refused   uint64 // kinds of query that are not served
	Flooded   uint64 // refused: the client, or all of them, had too many under way
	Loops     uint64 // our own query came back to us
	Local     uint64 // answered by the house's own names
	Hits      uint64 // from the cache
	Renewed   uint64 // of these, popular ones that were asked for again before their end
	Stale     uint64 // from the cache after their end, because no upstream answered in time
	Misses    uint64
	Forwarded uint64 // questions to an upstream, retries included
	Hedged    uint64 // of these, second ones because the first was slow
	Failed    uint64 // client queries that no upstream answered
	Strange   uint64 // datagrams from upstreams that did not match the question
	Overlarge uint64 // answers asked again over TCP
	Rebinding uint64 // addresses of the house removed from outside answers
	Blocked   uint64 // names that the client may not be given
	Late      uint64 // answers released before the Observer was done
}

type counters struct {
	queries, malformed, refused, flooded, loops, local, hits, renewed, stale, misses atomic.Uint64
	forwarded, hedged, failed, strange, overlarge, rebinding, late, blocked          atomic.Uint64
}

func (c *counters) snapshot() Stats {
	return Stats{
		Queries: c.queries.Load(), Malformed: c.malformed.Load(), Refused: c.refused.Load(), Flooded: c.flooded.Load(),
		Loops: c.loops.Load(), Local: c.local.Load(), Hits: c.hits.Load(), Renewed: c.renewed.Load(), Stale: c.stale.Load(), Misses: c.misses.Load(),
		Forwarded: c.forwarded.Load(), Hedged: c.hedged.Load(), Failed: c.failed.Load(), Strange: c.strange.Load(),
		Overlarge: c.overlarge.Load(), Rebinding: c.rebinding.Load(), Late: c.late.Load(), Blocked: c.blocked.Load(),
	}
}

// seldom lets one message a minute through, so that what a stranger repeats does not fill the log.
type seldom struct{ last atomic.Int64 }

func (s *seldom) now(t time.Time) bool {
	last, now := s.last.Load(), t.UnixNano()
	return now-last > int64(time.Minute) && s.last.CompareAndSwap(last, now)
}
