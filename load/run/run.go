package run

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/load/identity"
	"rollcall/load/measure"
	"rollcall/load/population"
	"rollcall/load/report"
	"rollcall/load/scenario"
	"rollcall/load/socket"
	"rollcall/wheel"
)

// Config is a test and where to carry it out.
type Config struct {
	Scenario *scenario.Scenario
	People   *population.People
	Identity identity.People
	Targets  []socket.Target
	Sources  []netip.Addr // of connections, used in turn; none: the system's choice
	Admins   []string     // URLs of the nodes' admin listeners; none: nothing is known of the server
	// Progress is told once a second, from one goroutine. It must not block.
	Progress func(Progress)
}

// Phase is how far a run has come.
type Phase int32

// The phases, in order.
const (
	Connecting Phase = iota
	Load
	Quiet
	Leaving
)

func (p Phase) String() string {
	return [...]string{"connecting", "load", "quiet", "leaving"}[p]
}

// Progress is a run at a moment.
type Progress struct {
	report.Moment
	Phase     Phase
	Elapsed   time.Duration // of the phase
	Length    time.Duration // of the phase, about
	Connected int
	Devices   int
	Behind    int // of Quiet: pairs that have not arrived yet
}

// Run is a test under way.
type Run struct {
	cfg      Config
	recorder *measure.Recorder
	ledger   *measure.Ledger
	names    map[string]int32 // users as the node calls them
	clients  []*client        // by device
	wheel    *wheel.Wheel
	dials    chan *client
	acks     chan *client
	slots    chan struct{} // of the closed loop: publishes that may be sent
	ctx      context.Context
	wg       sync.WaitGroup

	phase     atomic.Int32
	connected atomic.Int32
	behind    atomic.Int64

	series series
}

// wheelTick is how exact acknowledgements and reconnects are.
const wheelTick = 10 * time.Millisecond

// connectors is how many connections are being made at a time.
const connectors = 64

// New prepares a run.
func New(cfg Config) *Run {
	r := &Run{
		cfg:      cfg,
		recorder: measure.NewRecorder(time.Now()),
		ledger:   measure.NewLedger(len(cfg.Identity.Users())),
		wheel:    wheel.New(wheelTick, 4096),
		names:    map[string]int32{},
	}
	for n, u := range cfg.Identity.Users() {
		r.names[u.MRI] = int32(n)
		r.names[u.Tenant+"/"+u.MRI] = int32(n)
	}
	for d := range cfg.People.Devices {
		r.clients = append(r.clients, newClient(r, int32(d)))
	}
	for i, d := range cfg.People.Slow(cfg.Scenario.Slow.Silent + cfg.Scenario.Slow.Stopped) {
		r.clients[d].slow = silent
		if total := cfg.Scenario.Slow.Silent + cfg.Scenario.Slow.Stopped; float64(i%100) < 100*cfg.Scenario.Slow.Stopped/total {
			r.clients[d].slow = stopped
		}
	}
	// Room for every device, so that nobody waits who puts one in.
	r.dials = make(chan *client, 2*len(r.clients))
	r.acks = make(chan *client, len(r.clients))
	r.slots = make(chan struct{}, max(cfg.Scenario.Activity.InFlight, 1))
	return r
}

// Do plays the scenario. When ctx ends early, what was measured up to then is the
// outcome, beside the error.
func (r *Run) Do(ctx context.Context) (*report.Outcome, error) {
	began := time.Now()
	var stop context.CancelFunc
	r.ctx, stop = context.WithCancel(context.WithoutCancel(ctx))
	r.wheel.Start(r.ctx)
	for range connectors {
		r.wg.Go(r.connect)
	}
	for range 2 {
		r.wg.Go(r.acknowledge)
	}
	watching, unwatch := context.WithCancel(r.ctx)
	var observers sync.WaitGroup
	observers.Go(func() { r.observe(watching) })
	r.series.begin(r, watching)

	err := r.play(ctx)
	unwatch()
	observers.Wait()
	r.series.wait()
	final := r.recorder.Total(time.Now())
	lost, unanswered := r.lost(), r.ledger.Unanswered()
	r.enter(Leaving)
	for _, c := range r.clients {
		c.leave()
	}
	stop()
	r.wg.Wait()
	r.wheel.Close()
	o := r.outcome(began, final)
	if err == nil {
		o.Values["lost"], o.Values["unanswered"] = float64(lost), float64(unanswered)
	} else {
		o.Notes = append(o.Notes, fmt.Sprintf("The test did not come to its end (%s): what was under way was not waited for.", err))
	}
	o.Passed = verdicts(o, r.cfg.Scenario.Objectives)
	return o, err
}

// play goes through the phases.
func (r *Run) play(ctx context.Context) error {
	s := r.cfg.Scenario
	logins := r.cfg.People.Logins(s.Connect.Over, s.Activity)
	r.enter(Connecting)
	if !s.Connect.Measured {
		r.drive(ctx, time.Now(), logins)
		if err := r.gathered(ctx); err != nil {
			return err
		}
	}
	r.recorder.Restart(time.Now())
	r.series.mark()
	r.enter(Load)
	err := r.load(ctx, logins)
	r.series.markEnd()
	r.enter(Quiet)
	if err == nil {
		err = r.settle(ctx)
	}
	return err
}

func (r *Run) enter(p Phase) {
	r.series.enter(p)
	r.phase.Store(int32(p))
}

// gatherTime is how long it may take until everybody is there, beyond the time
// over which they come.
const gatherTime = 60 * time.Second

// ErrConnect says that not everybody could connect.
var ErrConnect = errors.New("not everybody could connect")

// gathered waits until all who logged in are there, have shown their state, and
// have seen that of the others.
func (r *Run) gathered(ctx context.Context) error {
	deadline := time.Now().Add(gatherTime)
	for calm := 0; calm < 4; {
		if err := pause(ctx, 250*time.Millisecond); err != nil {
			return err
		}
		absent := r.absent()
		if absent == 0 && r.ledger.Unanswered() == 0 {
			calm++ // a second, in which the last states arrive and are acknowledged
			continue
		}
		calm = 0
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: %d of %d devices are still not there %s after the last login, %d publishes are not answered, answers were %v",
				ErrConnect, absent, len(r.clients), gatherTime, r.ledger.Unanswered(), r.recorder.Codes())
		}
	}
	return nil
}

// settle waits until everybody knows the newest, as long as the scenario allows.
func (r *Run) settle(ctx context.Context) error {
	deadline := time.Now().Add(r.cfg.Scenario.Settle)
	for {
		began := time.Now()
		lost := r.lost()
		r.behind.Store(int64(lost))
		if lost == 0 && r.ledger.Unanswered() == 0 || began.After(deadline) {
			return nil
		}
		if err := pause(ctx, max(250*time.Millisecond, 4*time.Since(began))); err != nil {
			return err
		}
	}
}

// pause waits, or gives the reason why it did not.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
