package store

import (
	"cmp"
	"context"
	"database/sql"
	"math"
	"slices"
	"time"
)

// LinkSample is one look at a link, for its history.
type LinkSample struct {
	At               time.Time
	Link             string
	Up               bool
	Latency, Jitter  time.Duration // Latency 0: no probe was answered
	Loss             float64       // 0 to 1
	RateUp, RateDown float64       // bits per second
}

// LinkHistory is the mean of a link's samples over one span.
type LinkHistory struct {
	At               time.Time
	Link             string
	Samples          int
	Up               float64 // share of samples in which the link was up, 0 to 1
	Latency, Jitter  time.Duration
	Loss             float64
	RateUp, RateDown float64
}

type linkKey struct {
	resolution, at int64 // seconds
	link           string
}

// linkSum holds sums over samples; the means are made when reading. Latency and jitter are sums over answers, in seconds.
type linkSum struct {
	samples, up, answers                    int64
	latency, jitter, loss, rateUp, rateDown float64
}

func (a linkSum) add(b linkSum) linkSum {
	return linkSum{a.samples + b.samples, a.up + b.up, a.answers + b.answers,
		a.latency + b.latency, a.jitter + b.jitter, a.loss + b.loss, a.rateUp + b.rateUp, a.rateDown + b.rateDown}
}

// AddLinkSample adds a sample to the history of its minute (kept 24 h) and hour (kept 31 d). It never blocks on the disk.
func (s *Store) AddLinkSample(l LinkSample) {
	sum := linkSum{samples: 1, loss: finite(l.Loss), rateUp: finite(l.RateUp), rateDown: finite(l.RateDown)}
	if l.Up {
		sum.up = 1
	}
	if l.Latency > 0 {
		sum.answers, sum.latency, sum.jitter = 1, l.Latency.Seconds(), l.Jitter.Seconds()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resolution := range []int64{60, 3600} {
		k := linkKey{resolution, l.At.Unix() - mod(l.At.Unix(), resolution), l.Link}
		// While the disk is full for days, minutes are the first to go.
		if _, ok := s.pending.links[k]; ok || len(s.pending.links) < s.lim.Pending/2 || resolution == 3600 && len(s.pending.links) < s.lim.Pending {
			s.pending.links[k] = s.pending.links[k].add(sum)
		}
	}
}

func finite(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// LinkHistory lists the history of a link ("": of all) in [from, to) by the minute or the hour, oldest first. A zero to means now and later.
func (s *Store) LinkHistory(ctx context.Context, link string, r Resolution, from, to time.Time) (list []LinkHistory, err error) {
	seconds := int64(3600)
	if r == Minute {
		seconds = 60
	}
	begin, end := from.Unix()-mod(from.Unix(), seconds), int64(math.MaxInt64)
	if !to.IsZero() {
		end = to.Unix()
	}
	sums := map[linkKey]linkSum{}
	err = s.read(ctx, "read link history", func(db *sql.DB) error {
		clear(sums)
		rows, err := db.QueryContext(ctx, `SELECT at, link, samples, up_samples, answers, latency, jitter, loss, rate_up, rate_down
			FROM link_history WHERE resolution = ? AND at >= ? AND at < ? AND (? = '' OR link = ?)`, seconds, begin, end, link, link)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			k, l := linkKey{resolution: seconds}, linkSum{}
			if err := rows.Scan(&k.at, &k.link, &l.samples, &l.up, &l.answers, &l.latency, &l.jitter, &l.loss, &l.rateUp, &l.rateDown); err != nil {
				return err
			}
			sums[k] = l
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for k, l := range s.pending.links {
			if k.resolution == seconds && k.at >= begin && k.at < end && (link == "" || k.link == link) {
				sums[k] = sums[k].add(l)
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	for k, l := range sums {
		list = append(list, l.mean(k))
	}
	sortHistory(list)
	return list, nil
}

func (a linkSum) mean(k linkKey) LinkHistory {
	n, answers := float64(max(a.samples, 1)), float64(max(a.answers, 1))
	seconds := func(f float64) time.Duration { return time.Duration(f / answers * float64(time.Second)) }
	return LinkHistory{At: fromUnix(k.at), Link: k.link, Samples: int(a.samples), Up: float64(a.up) / n,
		Latency: seconds(a.latency), Jitter: seconds(a.jitter), Loss: a.loss / n, RateUp: a.rateUp / n, RateDown: a.rateDown / n}
}

func writeLinks(ctx context.Context, tx *sql.Tx, links map[linkKey]linkSum) error {
	for k, l := range links {
		if _, err := tx.ExecContext(ctx, `INSERT INTO link_history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET samples = samples + excluded.samples, up_samples = up_samples + excluded.up_samples, answers = answers + excluded.answers,
			latency = latency + excluded.latency, jitter = jitter + excluded.jitter, loss = loss + excluded.loss,
			rate_up = rate_up + excluded.rate_up, rate_down = rate_down + excluded.rate_down`,
			k.resolution, k.at, k.link, l.samples, l.up, l.answers, l.latency, l.jitter, l.loss, l.rateUp, l.rateDown); err != nil {
			return err
		}
	}
	return nil
}

func sortHistory(list []LinkHistory) {
	slices.SortFunc(list, func(a, b LinkHistory) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Link, b.Link)) })
}
