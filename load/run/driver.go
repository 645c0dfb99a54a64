package run

import (
	"context"
	"iter"
	"time"

	"rollcall/load/measure"
	"rollcall/load/population"
)

// load is the load itself: events as they are due, or a closed loop beside them.
func (r *Run) load(ctx context.Context, logins iter.Seq[population.Event]) error {
	s, p := r.cfg.Scenario, r.cfg.People
	ctx, cancel := context.WithTimeoutCause(ctx, s.Duration, errOver)
	defer cancel()
	began := time.Now()
	events := p.Events(s.Activity, s.Disturb, s.Duration)
	done := make(chan struct{}, 3)
	parts := []func(){func() { r.drive(ctx, began, events) }}
	if s.Connect.Measured {
		parts = append(parts, func() { r.drive(ctx, began, logins) })
	}
	if s.Activity.Kind == population.KindClosed {
		parts = append(parts, func() { r.closedLoop(ctx, s.Activity) })
	}
	for _, part := range parts {
		go func() { // waited for below
			part()
			done <- struct{}{}
		}()
	}
	<-ctx.Done()
	for range parts {
		<-done
	}
	if cause := context.Cause(ctx); cause != errOver { //nolint:errorlint // it is this very value or another reason
		return cause
	}
	return nil
}

type over struct{}

func (over) Error() string { return "the load's time is over" }

var errOver error = over{}

// drive does what is due when it is due, counting from began.
func (r *Run) drive(ctx context.Context, began time.Time, events iter.Seq[population.Event]) {
	for e := range events {
		due := began.Add(e.At)
		if wait := time.Until(due); wait > 0 {
			if pause(ctx, wait) != nil {
				return
			}
		} else if ctx.Err() != nil {
			return
		}
		r.recorder.Record(measure.Lag, 0, time.Since(due))
		r.happen(e, due)
	}
}

func (r *Run) happen(e population.Event, due time.Time) {
	from, to := r.cfg.People.Of(e.User)
	switch e.Action {
	case population.Login:
		for d := from; d < to; d++ {
			r.clients[d].login(due, e.State)
		}
	case population.Publish:
		r.clients[from].publish(measure.Publish{Due: due, State: e.State})
	case population.Drop:
		r.clients[e.Device].drop(due.Add(e.Away))
	case population.Logout:
		for d := from; d < to; d++ {
			r.clients[d].logout()
		}
	}
}

// closedLoop keeps so many publishes under way. Its users take turns; one whose
// turn comes before its pause is over is waited for.
func (r *Run) closedLoop(ctx context.Context, a population.Activity) {
	turns := r.cfg.People.Turns(a)
	last := make([]time.Time, r.cfg.People.Config.Users)
	for n := 0; len(turns) > 0; n++ {
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		u := turns[n%len(turns)]
		if wait := time.Until(last[u].Add(a.Pause)); wait > 0 {
			if pause(ctx, wait) != nil {
				return
			}
		}
		last[u] = time.Now()
		from, _ := r.cfg.People.Of(int32(u))
		p := measure.Publish{Due: last[u], State: population.Alternating(n / len(turns)), Turn: true}
		if !r.clients[from].publish(p) {
			r.release(p)
		}
	}
}

// release gives back a publish's slot of the closed loop, if it had one.
func (r *Run) release(p measure.Publish) {
	if p.Turn {
		<-r.slots
	}
}

// connect makes connections for those who wait for one.
func (r *Run) connect() {
	for {
		select {
		case c := <-r.dials:
			c.dial(r.ctx)
		case <-r.ctx.Done():
			return
		}
	}
}

// acknowledge sends what has waited long enough.
func (r *Run) acknowledge() {
	for {
		select {
		case c := <-r.acks:
			c.acknowledge(time.Now())
		case <-r.ctx.Done():
			return
		}
	}
}
