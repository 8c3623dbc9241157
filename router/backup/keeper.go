package backup

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/store"
)

// Errors of restores.
var (
	ErrRestoring = errors.New("a backup is being restored: keep it or go back first")
	ErrNone      = errors.New("no restored backup waits to be kept: it went back already, or was kept")
	ErrUnstaged  = errors.New("there is no such backup waiting: send the file again")
	ErrOther     = errors.New("only the login that restored the backup can keep it")
)

// stagedLives is how long an opened file waits for its restore: it may hold secrets.
const stagedLives = 15 * time.Minute

// Options are what a Keeper is made of. All fields are required, but Config.
type Options struct {
	Store   *store.Store
	State   string // the state directory
	Config  string // path of the configuration file; "": it is in no backup
	Version string
	Log     *slog.Logger
	Now     func() time.Time
	Restart func() // asks the router to end its run, so that Settle is called
}

// Keeper makes backups and restores them. Its methods are safe for concurrent use, but for Settle.
type Keeper struct {
	o Options

	mu     sync.Mutex
	staged staged
	trial  trial
	failed string // why the latest restore did not happen
}

// staged is a file that waits to be restored.
type staged struct {
	id      string
	user    int64
	at      time.Time
	content Content
}

// phase is how far a restore has come.
type phase int

const (
	idle phase = iota
	beginning
	trying
	keeping
	goingBack
)

type trial struct {
	phase   phase
	who     Who
	wait    time.Duration
	until   time.Time
	end     *time.Timer // of trying
	content Content
}

// Who restores.
type Who struct {
	Name  string
	Voice string // the login that may keep it
	User  int64  // who stays a user whatever the backup says; 0: nobody
}

// mark is what the database has of a restore that is not kept yet.
type mark struct {
	By   string    `json:"by"`
	Made time.Time `json:"made"` // the backup
}

// State is how a restore stands.
type State struct {
	Running bool
	Settled bool   // the household is in force; false: the router is about to restart with it
	By      string // whoever restores
	Voice   string
	Made    time.Time // the backup
	Until   time.Time // zero before it is settled
	Failed  string    // why the latest one did not happen, in words
}

// New makes a keeper. Recover comes before the router reads anything.
func New(o Options) *Keeper { return &Keeper{o: o} }

// Recover goes back when a process before this one did not end a restore, and says so by true.
func (k *Keeper) Recover(ctx context.Context) (bool, error) {
	switch _, err := k.o.Store.Restored(ctx); {
	case errors.Is(err, store.ErrNotFound):
		return false, forgetAside(k.o.State) // of a restore that never began, or was kept
	case err != nil:
		return false, err
	}
	return true, k.goBack(ctx)
}

func (k *Keeper) goBack(ctx context.Context) error {
	if err := bringBack(k.o.State); err != nil {
		return err
	}
	if err := k.o.Store.ReturnHousehold(ctx); err != nil {
		return err
	}
	return forgetAside(k.o.State)
}

// Wish says what a backup is to hold beside rules, users and configuration.
type Wish struct {
	Devices, History, Secrets bool
}

// Make makes a backup; secrets need a passphrase.
func (k *Keeper) Make(ctx context.Context, w Wish, passphrase string) ([]byte, error) {
	if w.Secrets && passphrase == "" {
		return nil, ErrShortPass
	}
	h, err := k.o.Store.Household(ctx)
	if err != nil {
		return nil, err
	}
	if !w.Devices {
		h.Devices = nil
	}
	var days []store.Usage
	if w.History {
		if days, err = k.o.Store.Usage(ctx, store.UsageQuery{Resolution: store.Day, By: store.Group{Time: true, Device: true, App: true, Link: true}}); err != nil {
			return nil, err
		}
		days = days[max(0, len(days)-mostDays):]
	}
	c := contentOf(h, days, w.Secrets)
	c.Made, c.Version = k.o.Now().UTC().Truncate(time.Second), k.o.Version
	if c.Config, err = k.Configuration(w.Secrets); err != nil {
		k.o.Log.Warn("the configuration is not part of the backup", "error", err)
	}
	if w.Secrets {
		if c.Secrets, err = readSecrets(k.o.State); err != nil {
			return nil, err
		}
	}
	return Seal(c, passphrase)
}

// Configuration is the text of the configuration file, without its secrets unless they are asked for.
func (k *Keeper) Configuration(secrets bool) (string, error) {
	if k.o.Config == "" {
		return "", nil
	}
	text, err := os.ReadFile(k.o.Config)
	if err != nil {
		return "", fmt.Errorf("reading the configuration: %w", err)
	}
	if secrets {
		return string(text), nil
	}
	return config.Redact(k.o.Config, text)
}

// Stage keeps an opened file until it is restored, and returns its name. There is one at a time.
func (k *Keeper) Stage(c Content, user int64) (id string, err error) {
	if _, err := c.household(); err != nil {
		return "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.trial.phase != idle {
		return "", ErrRestoring
	}
	k.staged = staged{id: rand.Text(), user: user, at: k.o.Now(), content: c}
	return k.staged.id, nil
}

// Begin restores a staged file: the router ends its run, and Settle does it. It is tried for wait from then on.
func (k *Keeper) Begin(id string, user int64, who Who, wait time.Duration) error {
	k.mu.Lock()
	switch {
	case k.trial.phase != idle:
		k.mu.Unlock()
		return ErrRestoring
	case id == "" || k.staged.id != id || k.staged.user != user || k.o.Now().Sub(k.staged.at) > stagedLives:
		k.mu.Unlock()
		return ErrUnstaged
	}
	k.trial = trial{phase: beginning, who: who, wait: wait, content: k.staged.content}
	k.staged, k.failed = staged{}, ""
	k.mu.Unlock()
	k.o.Restart()
	return nil
}

// Settle does what a restore waits for. It is called while no run of the router holds users or devices, from one goroutine. When it fails, the household is the one of
// before, and State says why.
func (k *Keeper) Settle(ctx context.Context) {
	k.mu.Lock()
	t := k.trial
	k.mu.Unlock()
	switch t.phase {
	case beginning:
		err := k.replace(ctx, t)
		k.mu.Lock()
		defer k.mu.Unlock()
		if err != nil {
			k.o.Log.Error("the backup could not be restored; everything is as before", "error", err)
			k.trial, k.failed = trial{}, err.Error()
			return
		}
		k.trial.phase, k.trial.until = trying, k.o.Now().Add(t.wait)
		// The wall clock may jump; how long a person has does not follow it.
		k.trial.end = time.AfterFunc(t.wait, func() { _ = k.Back() }) // kept or gone back already is just as well
	case goingBack:
		err := k.goBack(ctx)
		if err != nil {
			k.o.Log.Error("the household before the restore could not be brought back; it is tried again at the next start", "error", err)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.trial = trial{}
		if err != nil {
			k.failed = err.Error()
		}
	case idle, trying, keeping:
	}
}

func (k *Keeper) replace(ctx context.Context, t trial) error {
	h, err := t.content.household()
	if err != nil {
		return err
	}
	note, err := json.Marshal(mark{By: t.who.Name, Made: t.content.Made})
	if err != nil {
		return err
	}
	if len(t.content.Secrets) > 0 {
		if err := setAside(k.o.State); err != nil {
			return err
		}
	}
	r := store.Replacement{Author: t.who.Name, Note: "from a backup of " + t.content.Made.Format(time.DateOnly), Keep: t.who.User, Mark: note}
	if err := k.o.Store.ReplaceHousehold(ctx, h, r); err != nil {
		return errors.Join(err, forgetAside(k.o.State))
	}
	if len(t.content.Secrets) == 0 {
		return nil
	}
	if err := writeSecrets(k.o.State, t.content.Secrets); err != nil {
		return errors.Join(err, k.goBack(ctx))
	}
	return nil
}

// State tells how the restore stands.
func (k *Keeper) State() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.trial
	return State{Running: t.phase != idle, Settled: t.phase == trying || t.phase == keeping, By: t.who.Name, Voice: t.who.Voice, Made: t.content.Made, Until: t.until, Failed: k.failed}
}

// Keep makes the restored household the one that stays. Only the voice that began can.
func (k *Keeper) Keep(ctx context.Context, voice string) error {
	k.mu.Lock()
	t := k.trial
	switch {
	case t.phase != trying:
		k.mu.Unlock()
		return ErrNone
	case t.who.Voice != voice:
		k.mu.Unlock()
		return ErrOther
	}
	k.trial.phase = keeping
	k.mu.Unlock()
	err := k.o.Store.ConfirmHousehold(ctx, t.content.days())
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.trial.phase = trying
		if !k.o.Now().Before(t.until) { // its time was over while it was being kept
			go func() { _ = k.Back() }()
		}
		return err
	}
	t.end.Stop() // or it would end the next restore
	k.trial = trial{}
	if err := forgetAside(k.o.State); err != nil {
		k.o.Log.Warn("what was set aside for the way back is still there; it goes at the next start", "error", err)
	}
	return nil
}

// Back brings the household of before back: the router ends its run, and Settle does it.
func (k *Keeper) Back() error {
	k.mu.Lock()
	if k.trial.phase != trying {
		k.mu.Unlock()
		return ErrNone
	}
	k.trial.end.Stop()
	k.trial.phase = goingBack
	k.mu.Unlock()
	k.o.Restart()
	return nil
}
