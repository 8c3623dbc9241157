package engine

import (
	"context"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/qos"
)

const (
	// gatherClasses is how long new classes are waited for before trees are made of them: flows begin in groups.
	gatherClasses = 10 * time.Millisecond
	// maxReclassed bounds the flows that wait for their new class.
	maxReclassed = 4096
)

// reclass is the change that gives a running flow the class that the rules want for it now, and the device that it was not known to be
// of when it was judged; ok is false when it has both. What is not known of it any more speaks for the class that it has.
func reclass(p *policy.Compiled, c hal.Connection, device flow.DeviceID, j judged) (change hal.MarkChange, ok bool) {
	name, dscp := p.ClassNeeds(c.Mark.App())
	class := j.decision.Class
	if dscp || name && j.target.Host == "" && j.target.App == "" {
		class = c.Mark.App()
	}
	want := device.Mark() | class.Mark()
	const mask = flow.DeviceMask | flow.AppMask
	return hal.MarkChange{Connection: c, Mark: want, Mask: mask}, c.Mark&mask != want
}

// moveFlows gives running flows other classes, which stand before a packet is led to them.
func (e *Engine) moveFlows(ctx context.Context, changes []hal.MarkChange) {
	if len(changes) == 0 {
		return
	}
	fresh := false
	for _, c := range changes {
		fresh = e.shaper.use(e.now(), c.Connection.Mark&^c.Mask|c.Mark) || fresh
	}
	if fresh {
		if err := e.reshape(ctx); err != nil && ctx.Err() == nil {
			e.log.Error("the classes of running flows cannot be made; they wait with the rest of their link", "error", err)
		}
	}
	found, err := e.machine.MarkConnections(ctx, changes)
	if err != nil && ctx.Err() == nil {
		e.log.Error("running flows could not be given their class", "error", err)
	}
	if found > 0 {
		e.log.Debug("running flows have another class", "count", found)
	}
}

// use tells that a flow of a mark runs, and whether its class is new.
func (s *shaper) use(now time.Time, m flow.Mark) (fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.now.shapings) > 0 && s.activity.Seen(now, qos.ClassOf(m))
}

// flowSeen takes the mark of a flow that has just begun: its class is made at once if it is new.
func (e *Engine) flowSeen(m flow.Mark) {
	if e.shaper.use(e.now(), m) {
		signal(e.shaper.wanted)
	}
}

// flowNamed looks at a flow that has just told what it is: judged by less, it may be in the wrong class.
func (e *Engine) flowNamed(m flow.Mark, f dpi.Finding) {
	p := e.policy.current()
	d, known := e.hosts.ByNumber(m.Device())
	if !known || !m.Judged() || m.Inbound() || m.Blocked() || !p.GivesClasses() {
		return
	}
	change, differs := reclass(p, hal.Connection{Orig: f.Key, Mark: m}, d.Number, e.decide(d.ID, f.Key, e.now()))
	s := e.shaper
	s.mu.Lock()
	defer s.mu.Unlock()
	if differs && len(s.reclassed) < maxReclassed {
		s.reclassed = append(s.reclassed, change)
		signal(s.wanted)
	}
}

// classesWanted makes the classes that flows have asked for, and leads those to them that change theirs.
func (e *Engine) classesWanted(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(gatherClasses):
	}
	s := e.shaper
	s.mu.Lock()
	changes := s.reclassed
	s.reclassed = nil
	s.mu.Unlock()
	if err := e.reshape(ctx); err != nil && ctx.Err() == nil {
		e.log.Error("the classes of new flows cannot be made; they wait with the rest of their link", "error", err)
		e.planner.touch()
	}
	e.moveFlows(ctx, changes)
}
