package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"rollcall/cluster"
	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
	"rollcall/wheel"
)

// maxStashed bounds what waits for a user to be loaded.
const maxStashed = 1000

// user owns one user's presence: as publisher its record, aggregate, version
// and the live list of endpoints that show it; as subscriber the durable lists
// of its endpoints. It is the only writer of all of them.
type user struct {
	sys     *System
	id      presence.UserID
	mailbox *cluster.Mailbox

	record  presence.Record // with what is being committed
	state   presence.State  // as committed last
	version presence.Version
	clock   presence.Clock
	loading *loading // nil when loaded

	flight *flight // being committed
	next   *flight // waits for flight to end

	watching []group        // live endpoints, by gateway
	subs     *subscriptions // nil while none is under way
	timer    wheel.Timer
	pace     *pacing
	rates    *rates // nil until it publishes
}

// loading holds what waits for a user to be loaded.
type loading struct{ stash []asked }

// asked is a message that waits with the one who asked.
type asked struct {
	msg    any
	sender *actor.PID
}

// Messages of an activation to itself.
type (
	loaded struct {
		user persistence.Loaded
		err  error
	}
	committed struct{ err error }
	tick      struct{}
	paceTick  struct{}
)

func newUser(s *System, id presence.UserID, m *cluster.Mailbox) *user {
	u := &user{sys: s, id: id, mailbox: m}
	u.timer.Target = u
	return u
}

// Fire is called by the wheel: presence changes by itself now.
func (u *user) Fire(*wheel.Timer, time.Time) { u.mailbox.PostOwn(tick{}) }

// Receive dispatches. Until the record is loaded everything but the answer of
// the store waits.
func (u *user) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		u.load()
	case *actor.Stopping:
		u.stopTimers()
	case loaded:
		u.onLoaded(ctx, m)
	case *actor.Stopped, *actor.Restarting:
	default:
		if u.loading != nil {
			u.wait(ctx)
			return
		}
		u.handle(ctx, ctx.Message(), ctx.Sender())
	}
}

func (u *user) handle(ctx actor.Context, msg any, sender *actor.PID) {
	switch m := msg.(type) {
	case *messages.Publish:
		u.onPublish(ctx, m, sender)
	case committed:
		u.onCommitted(ctx, m)
	case *messages.Register:
		u.onRegister(m)
	case *messages.Unregister:
		u.onUnregister(m)
	case *messages.Read:
		u.onRead(ctx, m, sender)
	case *messages.Subscribe:
		u.onSubscribe(ctx, m, sender)
	case watchLoaded:
		u.onWatchLoaded(ctx, m)
	case watchCommitted:
		u.onWatchCommitted(ctx, m)
	case *messages.ListBlocks:
		u.onListBlocks(ctx, sender)
	case *messages.Recheck:
		u.onRecheck(m)
	case tick:
		u.settle(u.sys.now())
	case paceTick:
		u.onPaceTick()
	case cluster.Idle:
		u.onIdle()
	}
}

func (u *user) load() {
	u.loading = &loading{}
	u.sys.store.Load(u.id, func(l persistence.Loaded, err error) {
		u.mailbox.PostOwn(loaded{l, err})
	})
}

func (u *user) wait(ctx actor.Context) {
	if _, idle := ctx.Message().(cluster.Idle); idle {
		return
	}
	if len(u.loading.stash) >= maxStashed {
		u.refuse(ctx, asked{ctx.Message(), ctx.Sender()}, cluster.ErrOverloaded)
		return
	}
	u.loading.stash = append(u.loading.stash, asked{ctx.Message(), ctx.Sender()})
}

func (u *user) onLoaded(ctx actor.Context, m loaded) {
	stash := u.loading.stash
	u.loading = nil
	if m.err != nil {
		for _, a := range stash {
			u.refuse(ctx, a, m.err)
		}
		u.load() // what comes next tries again
		return
	}
	now := u.sys.now()
	u.record, u.state, u.version = m.user.Record, m.user.State, m.user.Version
	u.record.GraceLeases(now.Add(LeaseTime).UnixMilli())
	u.clock.Observe(max(u.record.Newest(), u.version))
	u.settle(now)
	for _, a := range stash {
		u.handle(ctx, a.msg, a.sender)
	}
}

// refuse answers a message that cannot be handled; one that wants no answer is
// dropped and counted.
func (u *user) refuse(ctx actor.Context, a asked, err error) {
	if a.sender == nil {
		u.sys.metrics.dropped.Inc()
		return
	}
	ctx.Send(a.sender, messages.StatusOf(storeError(err)))
}

// settle brings the announced state up to the record and the clock: it commits
// a visible change that came by itself and arms the timer for the next one.
func (u *user) settle(now time.Time) {
	u.endLeases(now)
	state, next := presence.Aggregate(&u.record, now, u.rules().Rules)
	if u.flight == nil && state.Visible(u.state) && (u.version != 0 || len(u.record.Elements()) > 0) {
		u.commit(&flight{})
	}
	if next.IsZero() {
		u.sys.wheel.Stop(&u.timer)
		return
	}
	u.sys.wheel.Schedule(&u.timer, next)
}

// endLeases stores that a session has ended with its lease. Without that a
// restart would give it a grace.
func (u *user) endLeases(now time.Time) {
	for _, e := range u.record.Kind(presence.KindSession) {
		if s, ok := e.Value.(presence.Session); ok && s.Leased && !e.Live(now) {
			u.record.EndLeases(presence.Stamp{Version: u.clock.Next(now), Node: u.sys.seed}, now)
			u.commit(&flight{})
			return
		}
	}
}

func (u *user) rules() *presence.Policy { return &u.sys.policies.of(u.id.Tenant).Policy }

// onIdle goes back to the store if nobody watches and nothing will change by
// itself.
func (u *user) onIdle() {
	u.endLeases(u.sys.now())
	_, next := presence.Aggregate(&u.record, u.sys.now(), u.rules().Rules)
	if len(u.watching) > 0 || !next.IsZero() || u.flight != nil || u.subs != nil {
		return
	}
	if u.mailbox.CloseIfEmpty() {
		u.stopTimers()
	}
}

func (u *user) stopTimers() {
	u.sys.wheel.Stop(&u.timer)
	if u.pace != nil {
		u.sys.wheel.Stop(&u.pace.timer)
	}
}
