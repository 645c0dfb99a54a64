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
	told    presence.Version // the newest that watchers were told and that is not stored
	loading *loading         // nil when loaded

	flight *flight // being committed
	next   *flight // waits for flight to end

	watching []group        // live endpoints, by gateway
	hosts    []host         // of devices, in the order in which they came
	subs     *subscriptions // nil while none is under way
	timer    wheel.Timer
	pace     *pacing
	rates    *rates           // nil until it publishes
	stalls   uint64           // of the process, as counted when the user was read last
	yielding chan<- farewell  // the shard moves: where what is known here goes
	owed     presence.Version // somebody has a newer one; told when nobody has said more by then
}

// loading holds what waits for a user to be loaded.
type loading struct {
	stash   []asked
	again   bool // a commit has failed: the next one waits a little
	refresh bool // it was loaded before: what is read is merged
	failed  bool // the timer begins the next attempt
}

// retryAfter is the time between two attempts at what the store refuses.
const retryAfter = time.Second

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
	committed struct {
		copies int // nodes that have it
		err    error
	}
	tick     struct{}
	paceTick struct{}
)

func newUser(s *System, id presence.UserID, m *cluster.Mailbox) *user {
	u := &user{sys: s, id: id, mailbox: m, stalls: s.stalls.count()}
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
		u.load(loading{})
	case *actor.Stopping:
		u.stopTimers()
		u.letGo()
	case loaded:
		u.onLoaded(ctx, m)
	case yield:
		u.yielding = m.to
		u.yieldNow()
	case *actor.Stopped, *actor.Restarting:
	default:
		if awaitsRefresh(ctx.Message()) {
			u.refresh()
		}
		if u.loading == nil || !u.waits(ctx) {
			u.handle(ctx, ctx.Message(), ctx.Sender())
		}
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
	case *messages.Adopt:
		u.onAdopt(ctx, m, sender)
	case foreignCommit:
		u.onForeign(m.commit)
	case gatewaysGone:
		u.onGatewaysGone(m.names)
	case *forgetGateway:
		if m.shards.Has(u.id.Shard()) {
			u.drop(func(g *gateway) bool { return g.name == m.name })
		}
	case tick:
		u.settle(u.sys.now())
	case paceTick:
		u.onPaceTick()
	case cluster.Idle:
		u.onIdle()
	}
}

func (u *user) load(l loading) {
	u.loading = &l
	u.sys.store.Load(u.id, func(l persistence.Loaded, err error) {
		u.mailbox.PostOwn(loaded{l, err})
	})
}

// waits keeps a message for the time when the user is loaded. It is false for
// what needs no record: the store's answers about lists, the pace.
func (u *user) waits(ctx actor.Context) bool {
	switch ctx.Message().(type) {
	case watchLoaded, watchCommitted, paceTick:
		return false
	case committed: // of before a refresh: there is one at most
		u.loading.stash = append(u.loading.stash, asked{msg: ctx.Message()})
	case cluster.Idle, *messages.Recheck: // what has changed is looked at anyway
	case tick:
		if u.loading.failed {
			u.load(loading{stash: u.loading.stash, again: u.loading.again, refresh: u.loading.refresh})
		}
	default:
		a := asked{ctx.Message(), ctx.Sender()}
		if len(u.loading.stash) >= maxStashed {
			u.refuse(ctx, a, cluster.ErrOverloaded)
			break
		}
		u.loading.stash = append(u.loading.stash, a)
	}
	return true
}

func (u *user) onLoaded(ctx actor.Context, m loaded) {
	now := u.sys.now()
	if m.err != nil {
		u.loadFailed(ctx, m.err, now)
		return
	}
	l := u.loading
	u.loading = nil
	if l.refresh {
		u.refreshed(m.user, now)
	} else {
		u.become(m.user, now)
	}
	if l.again {
		u.retry(now)
	} else {
		u.settle(now)
	}
	for _, a := range l.stash {
		u.handle(ctx, a.msg, a.sender)
	}
	u.yieldNow()
}

// become takes the place of what was known before. A commit whose outcome was not
// known may have been stored: then watchers have not heard of it.
func (u *user) become(l persistence.Loaded, now time.Time) {
	told := u.version
	u.record, u.state, u.version = l.Record, l.State, l.Version
	if u.version == 0 { // nothing was ever stored
		u.state = presence.State{Availability: presence.Offline, Activity: presence.ActOffline}
	}
	u.record.GraceLeases(now.Add(LeaseTime).UnixMilli())
	u.clock.Observe(max(u.record.Newest(), u.version))
	u.recheck()
	if u.version > told {
		u.announce(0)
	}
}

// loadFailed refuses what waits, but for the end of a commit. Where somebody
// still needs the user, loading is tried again.
func (u *user) loadFailed(ctx actor.Context, err error, now time.Time) {
	var ended []asked
	for _, a := range u.loading.stash {
		if _, ok := a.msg.(committed); ok {
			ended = append(ended, a)
		} else {
			u.refuse(ctx, a, err)
		}
	}
	u.loading.stash = ended
	if u.flight == nil && u.yielding != nil {
		u.leave(nil)
		return
	}
	if u.flight == nil && len(u.watching) == 0 && u.subs == nil && u.mailbox.CloseIfEmpty() {
		return
	}
	u.loading.failed = true
	u.retry(now)
}

// retry lets the timer go on with what the store has refused.
func (u *user) retry(now time.Time) {
	u.sys.wheel.Schedule(&u.timer, now.Add(wheel.Jitter(retryAfter, uint64(now.UnixNano()))))
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
	if u.owed != 0 {
		until := u.sys.mourning(u.id.Shard())
		if !now.Before(until) {
			u.overtake(u.owed)
		} else if next.IsZero() || until.Before(next) {
			next = until
		}
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
			ended := u.record.EndLeases(presence.Stamp{Version: u.clock.Next(now), Node: u.sys.seed}, now)
			u.commit(&flight{elements: ended})
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
	if len(u.watching) > 0 || !next.IsZero() || u.flight != nil || u.subs != nil || u.yielding != nil {
		return // what is owed is owed to somebody who watches
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
