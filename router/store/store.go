package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Floor is the earliest time that a clock can rightly show. Whatever is earlier comes from a machine that does not know the time yet.
func Floor() time.Time { return time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC) }

// MinInterval is the shortest time between two transactions of the writer.
const MinInterval = 10 * time.Second

// Options say how a store works. Only Path is needed.
type Options struct {
	Path     string           // the database file; its directory must exist
	Log      *slog.Logger     // nil: silent
	Now      func() time.Time // nil: time.Now
	Location *time.Location   // whose midnight starts a day; nil: time.Local
	Interval time.Duration    // between two transactions of the writer; at least MinInterval, default 20 s
	Limits   Limits           // zero fields take their defaults
	OnStatus func(Status)     // called after each change of the status, on the goroutine that caused it; must not call the store
}

// Limits bound the size of the database.
type Limits struct {
	Minutes, Hours, Days time.Duration // ages of usage; default 24 h, 31 d, 731 d
	Apps                 int           // applications kept per device and link in a finished hour or day; default 20
	Rows                 int           // per usage table; default 500,000
	Pending              int           // sums held in memory, while the disk is full; default 50,000
	Policies             int           // versions; default 500
	Events               int           // default 5,000
	Blocks               int           // default 5,000
}

func (l Limits) withDefaults() Limits {
	day := 24 * time.Hour
	return Limits{
		Minutes: def(l.Minutes, day), Hours: def(l.Hours, 31*day), Days: def(l.Days, 731*day),
		Apps: def(l.Apps, 20), Rows: def(l.Rows, 500_000), Pending: def(l.Pending, 50_000),
		Policies: def(l.Policies, 500), Events: def(l.Events, 5_000), Blocks: def(l.Blocks, 5_000),
	}
}

func def[T int | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// Status tells how the store fares.
type Status struct {
	Path     string
	Memory   bool      // nothing reaches the disk; Problem says why
	Broken   string    // where a broken file was moved by this process; "" when none was
	Salvaged int       // records read back from the broken file (devices, policies, settings)
	Problem  error     // why the last write failed; nil when it went well
	Since    time.Time // of Problem
	Lost     uint64    // usage sums dropped because the disk was full for too long
}

// Store is the open database. Its methods are safe for concurrent use.
type Store struct {
	opts Options
	log  *slog.Logger
	now  func() time.Time
	loc  *time.Location
	lim  Limits

	gate   sync.RWMutex
	db     *sql.DB // nil after Close
	memory bool

	mu      sync.Mutex
	status  Status
	pending pending
	clock   steadiness
}

// Open opens the database, creating or repairing it as the package comment says. It fails only when another process
// holds the file (ErrBusy) or the context ends; every other trouble leaves a working store whose Status tells what is wrong.
func Open(ctx context.Context, opts Options) (*Store, error) {
	s := &Store{opts: opts, log: opts.Log, now: opts.Now, loc: opts.Location, lim: opts.Limits.withDefaults()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.loc == nil {
		s.loc = time.Local
	}
	if opts.Interval == 0 {
		s.opts.Interval = 20 * time.Second
	}
	s.opts.Interval = max(s.opts.Interval, MinInterval)
	s.pending = newPending()
	s.status.Path = opts.Path
	if err := s.openFile(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Status returns how the store fares now.
func (s *Store) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Close commits what is still in memory and closes the file.
func (s *Store) Close() error {
	err := s.flush(context.Background(), s.now(), true)
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.db == nil {
		return nil
	}
	cerr := s.db.Close()
	s.db = nil
	return errors.Join(err, classify(cerr))
}

var errClosed = errors.New("the database is closed")

// read runs f while no writer is at work.
func (s *Store) read(ctx context.Context, what string, f func(*sql.DB) error) error {
	s.gate.RLock()
	if s.db == nil {
		s.gate.RUnlock()
		return fmt.Errorf("%s: %w", what, errClosed)
	}
	seen := s.db
	err := classify(f(seen))
	s.gate.RUnlock()
	if errors.Is(err, ErrBroken) {
		s.gate.Lock()
		defer s.gate.Unlock()
		if s.db == seen { // nobody else replaced it meanwhile
			if rerr := s.replaceBroken(ctx, err); rerr != nil {
				return fmt.Errorf("%s: %w", what, errors.Join(err, rerr))
			}
		}
		if s.db == nil {
			return fmt.Errorf("%s: %w", what, errClosed)
		}
		err = classify(f(s.db))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// write runs f in one transaction; durable asks that it survives a power cut.
func (s *Store) write(ctx context.Context, what string, durable bool, f func(*sql.Tx) error) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	return s.writeLocked(ctx, what, durable, f)
}

// writeLocked is write for callers that hold gate. A file that turns out to be broken is replaced and the write done again in the fresh one.
func (s *Store) writeLocked(ctx context.Context, what string, durable bool, f func(*sql.Tx) error) error {
	if s.db == nil {
		return fmt.Errorf("%s: %w", what, errClosed)
	}
	err := classify(s.transact(ctx, f))
	if errors.Is(err, ErrBroken) {
		if rerr := s.replaceBroken(ctx, err); rerr != nil {
			return fmt.Errorf("%s: %w", what, errors.Join(err, rerr))
		}
		err = classify(s.transact(ctx, f))
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	if err == nil && durable && !s.memory {
		// synchronous=NORMAL flushes the journal only at a checkpoint.
		_, cerr := s.db.ExecContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`)
		s.noteWrite(classify(cerr))
		return nil
	}
	s.noteWrite(err)
	return err
}

func (s *Store) transact(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// noteWrite keeps Status.Problem and logs when trouble starts and when it is over, once each.
func (s *Store) noteWrite(err error) {
	if err != nil && !errors.Is(err, ErrDiskFull) && !errors.Is(err, ErrUnusable) && !errors.Is(err, ErrBroken) && !errors.Is(err, ErrBusy) {
		return // the request's own fault (not found, cancelled), not the disk's
	}
	s.mu.Lock()
	if s.memory && err == nil || (err != nil) == (s.status.Problem != nil) {
		s.mu.Unlock()
		return
	}
	s.status.Problem, s.status.Since = err, s.now()
	st := s.status
	s.mu.Unlock()
	if err != nil {
		s.log.Warn("the database cannot be written; the router goes on in memory and keeps trying", "file", s.opts.Path, "error", err)
	} else {
		s.log.Info("the database can be written again", "file", s.opts.Path)
	}
	s.tell(st)
}

func (s *Store) tell(st Status) {
	if s.opts.OnStatus != nil {
		s.opts.OnStatus(st)
	}
}
