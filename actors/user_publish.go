package actors

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"rollcall/limit"
	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
)

// LeaseTime is how long a client's session lives after it was last heard of. A
// connected client renews it well before.
const LeaseTime = 60 * time.Second

// keepCleared is how long an ended element stays in the record so that no older
// copy of it can come back.
const keepCleared = 24 * time.Hour

// flight is one commit and everybody who waits for it. While one is under way
// the next collects: a burst of publishes of one user is one write.
type flight struct {
	waiters   []waiter
	adopted   []*adoption
	elements  []presence.Element // to be stored; of one key the last is the newest
	blocks    []presence.Element
	replaced  []presence.Element // what blocks replaces, the oldest of a key first
	state     presence.State
	version   presence.Version
	announced bool
	force     bool  // announced even if it looks the same
	received  int64 // unix ns of the oldest publish in it
}

type waiter struct {
	sender   *actor.PID
	received int64
}

// onPublish merges what a source says. The answer comes when it is stored.
func (u *user) onPublish(ctx actor.Context, m *messages.Publish, sender *actor.PID) {
	now := u.sys.now()
	if !u.hosted(m) {
		u.answer(ctx, sender, &messages.Published{Version: uint64(u.version), State: messages.FromState(u.state)})
		return
	}
	ms, err := mutations(m)
	if err == nil {
		err = u.admit(ms, m.Device, now)
	}
	var changed, replaced []presence.Element
	if err == nil {
		replaced = u.blocksIn(ms)
		stamp := presence.Stamp{Version: u.clock.Next(now), Node: u.sys.seed}
		changed, err = u.record.Apply(ms, stamp, now)
	}
	if err != nil {
		u.answer(ctx, sender, &messages.Published{Error: messages.StatusOf(storeError(err))})
		return
	}
	u.host(m)
	w := waiter{sender, m.Received}
	switch {
	case len(changed) > 0:
		u.commit(&flight{
			waiters: []waiter{w}, elements: changed, blocks: blocksOf(changed), replaced: replaced, received: m.Received,
		})
	case u.next != nil:
		u.next.waiters = append(u.next.waiters, w)
	case u.flight != nil:
		u.flight.waiters = append(u.flight.waiters, w)
	default:
		u.answer(ctx, sender, &messages.Published{Version: uint64(u.version), State: messages.FromState(u.state)})
	}
	u.settle(now)
}

func mutations(m *messages.Publish) ([]presence.Mutation, error) {
	ms := make([]presence.Mutation, len(m.Mutations))
	for i, x := range m.Mutations {
		var err error
		if ms[i], err = messages.ToMutation(x); err != nil {
			return nil, err
		}
	}
	return ms, nil
}

func blocksOf(changed []presence.Element) (blocks []presence.Element) {
	for _, e := range changed {
		if kind, _ := e.Key.Split(); kind == presence.KindBlock {
			blocks = append(blocks, e)
		}
	}
	return blocks
}

// blocksIn is what the record has now under the blocks that mutations name.
func (u *user) blocksIn(ms []presence.Mutation) (blocks []presence.Element) {
	for i := range ms {
		if kind, _ := ms[i].Key.Split(); kind == presence.KindBlock {
			e, _ := u.record.Get(ms[i].Key)
			e.Key = ms[i].Key
			blocks = append(blocks, e)
		}
	}
	return blocks
}

// commit stores what has changed and the state that follows from it, or joins the
// write that comes after the one under way.
func (u *user) commit(f *flight) {
	if u.flight != nil {
		if u.next == nil {
			u.next = f
			return
		}
		u.next.waiters = append(u.next.waiters, f.waiters...)
		u.next.elements = append(u.next.elements, f.elements...)
		u.next.blocks = append(u.next.blocks, f.blocks...)
		u.next.replaced = append(u.next.replaced, f.replaced...)
		u.next.adopted = append(u.next.adopted, f.adopted...)
		u.next.force = u.next.force || f.force
		if u.next.received == 0 {
			u.next.received = f.received
		}
		return
	}
	now := u.sys.now()
	u.record.Compact(now, keepCleared)
	state, next := presence.Aggregate(&u.record, now, u.rules().Rules)
	f.state, f.version = state, u.version
	if f.announced = f.force || state.Visible(u.state); f.announced || u.version == 0 {
		f.version = u.clock.Next(now)
	}
	u.flight = f
	u.sys.store.Commit(persistence.Commit{
		User: u.id, Elements: f.elements, State: state, Version: f.version, Wake: next,
	}, f.announced, func(copies int, err error) { u.mailbox.PostOwn(committed{copies, err}) })
}

// onCommitted answers, then fans out, then starts the write that waited.
func (u *user) onCommitted(ctx actor.Context, m committed) {
	f := u.flight
	u.flight = nil
	if m.err != nil {
		u.undo(ctx, f, m.err)
		return
	}
	u.state, u.version = f.state, f.version
	u.acknowledge(ctx, f, m.copies)
	for _, a := range f.adopted {
		u.adopted(ctx, a, nil)
	}
	if len(f.blocks) > 0 {
		u.recheck() // before who is blocked now is told what has changed with it
	}
	if f.announced {
		u.sys.metrics.visible.Inc()
		u.announce(f.received)
	}
	if next := u.next; next != nil {
		u.next = nil
		u.commit(next)
	}
	u.settle(u.sys.now())
	u.yieldNow()
}

func (u *user) acknowledge(ctx actor.Context, f *flight, copies int) {
	if len(f.waiters) == 0 {
		return
	}
	a := &messages.Published{Version: uint64(f.version), State: messages.FromState(f.state), Copies: uint32(copies)}
	now := u.sys.now()
	for _, w := range f.waiters {
		u.sys.metrics.publishes.Inc()
		if w.received > 0 {
			u.sys.metrics.committed.Observe(now.Sub(time.Unix(0, w.received)).Seconds())
		}
		u.answer(ctx, w.sender, a)
	}
}

// undo refuses everybody whose change is not stored and reads the record again:
// what the store has is the truth.
func (u *user) undo(ctx actor.Context, f *flight, err error) {
	u.sys.metrics.storeErrors.Inc()
	waiters, adopted := f.waiters, f.adopted
	if u.next != nil {
		waiters, adopted = append(waiters, u.next.waiters...), append(adopted, u.next.adopted...)
		u.next = nil
	}
	for _, a := range adopted {
		u.adopted(ctx, a, err)
	}
	for i := range u.hosts {
		u.hosts[i].published = 0 // some of it may not be stored
	}
	refusal := &messages.Published{Error: messages.StatusOf(storeError(err))}
	for _, w := range waiters {
		u.answer(ctx, w.sender, refusal)
	}
	u.sys.wheel.Stop(&u.timer)
	u.load(loading{again: true})
}

func (u *user) answer(ctx actor.Context, to *actor.PID, msg any) {
	if to != nil {
		ctx.Send(to, msg)
	}
}

// rates are a user's publish limiters: one for all, one for each device or
// application, of which a user has few.
type rates struct {
	all     limit.Bucket
	devices []deviceRate
}

type deviceRate struct {
	name   string
	bucket limit.Bucket
}

// maxDevices bounds the limiters kept per user; the one that came first goes.
const maxDevices = 32

// admit applies the publish rates of the tenant. What keeps a session alive or
// ends it is not counted: its own timer, or its beginning, bounds it.
func (u *user) admit(ms []presence.Mutation, device string, now time.Time) error {
	counts := false
	for i := range ms {
		counts = counts || !free(&ms[i], device)
	}
	if !counts {
		return nil
	}
	if u.rates == nil {
		u.rates = &rates{}
	}
	q := &u.rules().Quotas
	if ok, wait := u.rates.of(device).Take(now, perMinute(q.DevicePublish)); !ok {
		return messages.ErrPublishRate.After(wait)
	}
	if ok, wait := u.rates.all.Take(now, perMinute(q.UserPublish)); !ok {
		return messages.ErrPublishRate.After(wait)
	}
	return nil
}

func free(m *presence.Mutation, device string) bool {
	switch m.Op {
	case presence.Lease, presence.Touch:
		return true
	case presence.Clear:
		return m.Key == presence.SessionKey(device)
	}
	return false
}

func perMinute(r presence.Rate) limit.Rate {
	return limit.Rate{Count: r.PerMinute, Per: time.Minute, Burst: r.Burst}
}

func (r *rates) of(device string) *limit.Bucket {
	for i := range r.devices {
		if r.devices[i].name == device {
			return &r.devices[i].bucket
		}
	}
	if len(r.devices) == maxDevices {
		r.devices = slices.Delete(r.devices, 0, 1)
	}
	r.devices = append(r.devices, deviceRate{name: device})
	return &r.devices[len(r.devices)-1].bucket
}
