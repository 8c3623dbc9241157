package apply

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/plan"
)

// Machine is the part of the machine that apply changes.
type Machine interface {
	hal.Firewall
	hal.Routing
	hal.Shapers
	hal.Sysctls
}

// Applier commits plans. The zero value is not usable; see New.
type Applier struct {
	machine Machine
	log     *slog.Logger

	mu sync.Mutex
	// standing is the ruleset that this process committed last, nil when what stands is not known for sure;
	// print is the table's fingerprint right after.
	standing *plan.Ruleset
	print    string
	// sysctls holds the values found before the first change, for Cleanup by the same process.
	sysctls map[string]string
}

// New returns an Applier that knows nothing yet of what stands: its first Apply writes the whole table anew, keeping
// learned names and touching no connection.
func New(m Machine, log *slog.Logger) *Applier {
	return &Applier{machine: m, log: log, sysctls: map[string]string{}}
}

// Report says what an Apply did.
type Report struct {
	Changed  []string      // one plain line each
	Left     []string      // what should be gone and could not be removed, or a class without its flows, and why; Verify finds it again
	Ruleset  bool          // the nft table was changed
	Emptied  bool          // maps that the daemon fills while it runs were made anew: fill them
	Duration time.Duration // of the whole call
}

// Apply makes the kernel equal to s. On error nothing has changed, unless errors.Is(err, ErrHalfway), which also says
// what is left to do by hand.
func (a *Applier) Apply(ctx context.Context, s plan.State) (Report, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	started := time.Now()
	var r Report
	err := a.apply(ctx, s, &r)
	r.Duration = time.Since(started)
	return r, err
}

// rollbackTime is for taking back what was added: a few system calls for each.
const rollbackTime = 10 * time.Second

// ErrHalfway: the kernel refused a part and then also refused to take back what had been added before.
var ErrHalfway = errors.New("the kernel's state is half applied")

// step is one reversible change outside of nftables.
type step struct {
	text     string
	do, undo func(ctx context.Context) error // what comes afterwards has no undo
}

func (a *Applier) apply(ctx context.Context, s plan.State, r *Report) error {
	diff, err := a.difference(ctx, s)
	if err != nil {
		return err
	}
	return a.change(ctx, diff, &s.Ruleset, r)
}

// change makes the changes of a difference and, unless it is nil, of the ruleset.
func (a *Applier) change(ctx context.Context, diff difference, rules *plan.Ruleset, r *Report) error {
	var done []step
	rollback := func(cause error) error {
		// Also when the caller has no more time: half a plan is worse than a late answer.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
		defer cancel()
		var failed []error
		for _, st := range slices.Backward(done) {
			if err := st.undo(ctx); err != nil && !errors.Is(err, hal.ErrNotFound) {
				failed = append(failed, fmt.Errorf("taking back %s: %w", st.text, err))
			}
		}
		if len(failed) > 0 {
			return fmt.Errorf("%w: %w; %w", ErrHalfway, cause, errors.Join(failed...))
		}
		return cause
	}
	run := func(steps []step) error {
		for _, st := range steps {
			if err := st.do(ctx); err != nil {
				return rollback(fmt.Errorf("applying %s: %w", st.text, err))
			}
			done = append(done, st)
			r.Changed = append(r.Changed, st.text)
		}
		return nil
	}
	if err := run(diff.additions); err != nil {
		return err
	}
	if rules != nil {
		if err := a.load(ctx, rules, r); err != nil {
			return rollback(err)
		}
	}
	// What goes away goes last: until here every packet found a rule and a route. A failure leaves a harmless leftover.
	for _, st := range diff.afterwards {
		if err := st.do(ctx); err != nil && !errors.Is(err, hal.ErrNotFound) {
			r.Left = append(r.Left, fmt.Sprintf("%s: %v", st.text, err))
			a.log.Warn("a harmless part of the change is left to do", "at", st.text, "error", err)
			continue
		}
		r.Changed = append(r.Changed, st.text)
	}
	return nil
}

// load makes the kernel's ruleset equal to rules.
func (a *Applier) load(ctx context.Context, rules *plan.Ruleset, r *Report) error {
	text, emptied, err := a.transaction(ctx, *rules)
	if err != nil || text == "" {
		return err
	}
	if err := a.machine.Load(ctx, text); err != nil {
		return fmt.Errorf("applying the ruleset: %w", err)
	}
	a.standing = rules
	r.Ruleset, r.Emptied = true, emptied
	r.Changed = append(r.Changed, "table inet "+plan.Table)
	if a.print, err = a.machine.Fingerprint(ctx); err != nil {
		// The rules stand; only the memory of how they look is missing. Write them anew next time.
		a.standing = nil
		a.log.Warn("cannot read back the ruleset", "error", err)
	}
	return nil
}

// transaction is the nft text from what stands to what is wanted; "" when they are equal. emptied tells that it makes
// learned maps that do not stand.
func (a *Applier) transaction(ctx context.Context, want plan.Ruleset) (text string, emptied bool, err error) {
	if a.standing != nil {
		print, err := a.machine.Fingerprint(ctx)
		if err != nil {
			return "", false, fmt.Errorf("reading the ruleset that stands: %w", err)
		}
		if print == a.print {
			return want.Update(*a.standing), false, nil
		}
		a.log.Warn("another program changed table inet " + plan.Table + "; writing it anew")
	}
	objects, err := a.machine.Objects(ctx)
	if err != nil {
		return "", false, fmt.Errorf("reading the ruleset that stands: %w", err)
	}
	for _, m := range want.Maps {
		emptied = emptied || m.Learned && m.Name != plan.MapClass && !slices.Contains(objects.Maps, m.Name)
	}
	return want.Replace(plan.Standing{Chains: objects.Chains, Sets: objects.Sets, Maps: objects.Maps}), emptied, nil
}

// Verify tells whether what stands still equals s, as a list of plain lines of what differs.
func (a *Applier) Verify(ctx context.Context, s plan.State) ([]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	diff, err := a.difference(ctx, s)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, st := range append(diff.additions, diff.afterwards...) {
		out = append(out, st.text)
	}
	print, err := a.machine.Fingerprint(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the ruleset that stands: %w", err)
	}
	if a.standing == nil || print != a.print {
		out = append(out, "table inet "+plan.Table)
	}
	return out, nil
}
