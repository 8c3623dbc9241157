package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"time"
)

// pending is what waits in memory for the writer.
type pending struct {
	usage  map[usageKey]Traffic // by minute
	links  map[linkKey]linkSum
	events []Event
	blocks []Block
	seen   map[int64]time.Time // device number -> last seen
}

func newPending() pending {
	return pending{usage: map[usageKey]Traffic{}, links: map[linkKey]linkSum{}, seen: map[int64]time.Time{}}
}

func (p *pending) empty() bool {
	return len(p.usage) == 0 && len(p.links) == 0 && len(p.events) == 0 && len(p.blocks) == 0 && len(p.seen) == 0
}

func (p *pending) addUsage(k usageKey, t Traffic) { p.usage[k] = p.usage[k].Add(t) }

// merge adds what could not be written back to what came since.
func (p *pending) merge(o pending) {
	for k, t := range o.usage {
		p.addUsage(k, t)
	}
	for k, l := range o.links {
		p.links[k] = p.links[k].add(l)
	}
	p.events = append(o.events, p.events...)
	p.blocks = append(o.blocks, p.blocks...)
	for n, at := range o.seen {
		if at.After(p.seen[n]) {
			p.seen[n] = at
		}
	}
}

// shrink keeps the number of usage sums below limit: first by forgetting minutes for hours, then applications, and at
// last by dropping the oldest. It returns how many sums were dropped.
func (p *pending) shrink(limit int) (lost int) {
	if len(p.usage) <= limit {
		return 0
	}
	for _, coarser := range []func(usageKey) usageKey{
		func(k usageKey) usageKey { k.at -= mod(k.at, 3600); return k },
		func(k usageKey) usageKey { k.app = Other; return k },
	} {
		next := make(map[usageKey]Traffic, len(p.usage)/2)
		for k, t := range p.usage {
			k = coarser(k)
			next[k] = next[k].Add(t)
		}
		p.usage = next
		if len(p.usage) <= limit/2 {
			return 0
		}
	}
	for len(p.usage) > limit {
		oldest := int64(0)
		for k := range p.usage {
			if oldest == 0 || k.at < oldest {
				oldest = k.at
			}
		}
		before := len(p.usage)
		maps.DeleteFunc(p.usage, func(k usageKey, _ Traffic) bool { return k.at <= oldest })
		lost += before - len(p.usage)
	}
	return lost
}

// rebook gives everything that was counted before the clock was right the time at.
func (p *pending) rebook(at time.Time) {
	floor := Floor().Unix()
	usage := make(map[usageKey]Traffic, len(p.usage))
	for k, t := range p.usage {
		if k.at < floor {
			k.at = Minute.start(at, time.UTC)
		}
		usage[k] = usage[k].Add(t)
	}
	p.usage = usage
	links := make(map[linkKey]linkSum, len(p.links))
	for k, l := range p.links {
		if k.at < floor {
			k.at = at.Unix() - mod(at.Unix(), k.resolution)
		}
		links[k] = links[k].add(l)
	}
	p.links = links
	for i := range p.events {
		if p.events[i].At.Before(Floor()) {
			p.events[i].At = at
		}
	}
	for i := range p.blocks {
		if p.blocks[i].At.Before(Floor()) {
			p.blocks[i].At = at
		}
	}
	for n, seen := range p.seen {
		if seen.Before(Floor()) {
			p.seen[n] = at
		}
	}
}

func (p *pending) renameDevice(from, to string) {
	for k, t := range p.usage {
		if k.device == from {
			delete(p.usage, k)
			k.device = to
			p.usage[k] = p.usage[k].Add(t)
		}
	}
}

// Run is the writer task: it commits the sums once per interval and prunes once an hour, until the context ends.
// The last sums are committed by Close.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(s.opts.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			now := s.now()
			if err := s.flush(ctx, now, false); err != nil {
				continue // told by noteWrite; the sums stay in memory
			}
			if err := s.maintain(ctx, now); err != nil && !errors.Is(err, context.Canceled) {
				s.log.Warn("the database could not be tidied; it is tried again in an hour", "error", err)
			}
		}
	}
}

// Flush commits the sums at once. The writer task does it by itself; this is for an export or a test that wants the file complete.
func (s *Store) Flush(ctx context.Context) error { return s.flush(ctx, s.now(), false) }

// flush writes all sums in one transaction; on failure they stay. While the clock is not plausible they wait, unless this is the
// last chance: then they are booked at the newest minute that the database knows.
func (s *Store) flush(ctx context.Context, now time.Time, last bool) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.db == nil {
		return nil
	}
	if s.memory {
		if err := s.leaveMemory(ctx); err != nil {
			s.log.Debug("the database stays in memory", "error", err)
		}
	}
	at := now
	if now.Before(Floor()) {
		if !last {
			return nil
		}
		var newest int64
		if err := s.db.QueryRowContext(ctx, `SELECT coalesce(max(at), 0) FROM usage_minute`).Scan(&newest); err != nil {
			return fmt.Errorf("write usage: %w", classify(err))
		}
		at = time.Unix(max(newest, Floor().Unix()), 0)
	}
	s.mu.Lock()
	batch := s.pending
	s.pending = newPending()
	s.mu.Unlock()
	if batch.empty() {
		if s.Status().Problem != nil { // nothing to write, so find out whether writing works again
			return s.writeLocked(ctx, "try the disk", false, func(tx *sql.Tx) error {
				return putSetting(ctx, tx, "store/tried", []byte(now.UTC().Format(time.RFC3339)))
			})
		}
		return nil
	}
	batch.rebook(at)
	err := s.writeLocked(ctx, "write usage", false, func(tx *sql.Tx) error { return s.writeBatch(ctx, tx, batch) })
	if err != nil {
		s.mu.Lock()
		newer := s.pending
		s.pending = batch
		s.pending.merge(newer)
		s.pending.trimEvents(s.lim.Events)
		s.pending.trimBlocks(s.lim.Blocks)
		s.mu.Unlock()
	}
	return err
}

func (s *Store) writeBatch(ctx context.Context, tx *sql.Tx, b pending) error {
	if err := s.writeUsage(ctx, tx, b.usage); err != nil {
		return err
	}
	if err := writeLinks(ctx, tx, b.links); err != nil {
		return err
	}
	if err := writeEvents(ctx, tx, b.events, s.lim.Events); err != nil {
		return err
	}
	if err := writeBlocks(ctx, tx, b.blocks, s.lim.Blocks); err != nil {
		return err
	}
	return writeSeen(ctx, tx, b.seen)
}

// writeUsage books each sum in its minute, hour and day.
func (s *Store) writeUsage(ctx context.Context, tx *sql.Tx, usage map[usageKey]Traffic) error {
	w := words{tx: tx, ids: map[word]int64{}}
	for _, r := range resolutions() {
		sums := make(map[usageKey]Traffic, len(usage))
		for k, t := range usage {
			k.at = r.start(time.Unix(k.at, 0), s.loc)
			sums[k] = sums[k].Add(t)
		}
		put, err := tx.PrepareContext(ctx, `INSERT INTO `+r.table()+` VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) `+onConflictAdd)
		if err != nil {
			return err
		}
		for k, t := range sums {
			var id [3]int64
			for i, x := range []word{{wordDevice, k.device}, {wordApp, k.app}, {wordLink, k.link}} {
				if id[i], err = w.id(ctx, x); err != nil {
					return errors.Join(err, put.Close())
				}
			}
			if _, err := put.ExecContext(ctx, k.at, id[0], id[1], id[2], int64(t.Up), int64(t.Down), int64(t.PacketsUp), int64(t.PacketsDown), int64(t.Flows)); err != nil {
				return errors.Join(err, put.Close())
			}
		}
		if err := put.Close(); err != nil {
			return err
		}
	}
	return nil
}
