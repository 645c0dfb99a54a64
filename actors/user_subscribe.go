package actors

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
)

// WatchLease is how long the durable list of an endpoint outlives its last
// connection; a connected endpoint renews it.
const WatchLease = 24 * time.Hour

// renewEvery is how often a connected endpoint renews its list.
const renewEvery = 6 * time.Hour

// renewWatch is the rest of a lease at which reading a list renews it.
const renewWatch = WatchLease - renewEvery

// subscriptions are the changes of this user's lists that are under way.
type subscriptions []subscription

// subscription is one change of an endpoint's list on its way through the
// store. Changes of one endpoint follow one another.
type subscription struct {
	endpoint string
	req      *messages.Subscribe
	sender   *actor.PID
	answer   *messages.Subscribed
}

type (
	watchLoaded struct {
		endpoint string
		element  presence.Element
		found    bool
		err      error
	}
	watchCommitted struct {
		endpoint string
		err      error
	}
)

// onSubscribe reads the list of one of this user's endpoints, changes it and
// stores it. The list is not kept in memory: the endpoint holds what it needs.
func (u *user) onSubscribe(ctx actor.Context, m *messages.Subscribe, sender *actor.PID) {
	if u.subs != nil && len(*u.subs) >= maxStashed {
		u.refuse(ctx, asked{m, sender}, messages.ErrOverloaded)
		return
	}
	u.attached(m)
	u.queueList(subscription{endpoint: m.Endpoint, req: m, sender: sender})
}

func (u *user) queueList(s subscription) {
	if u.subs == nil {
		u.subs = &subscriptions{}
	}
	busy := u.subs.of(s.endpoint) >= 0
	*u.subs = append(*u.subs, s)
	if !busy {
		u.loadWatch(s.endpoint)
	}
}

func (u *user) loadWatch(endpoint string) {
	u.sys.store.LoadWatch(u.id, endpoint, func(e presence.Element, found bool, err error) {
		u.mailbox.PostOwn(watchLoaded{endpoint, e, found, err})
	})
}

// of is the index of the oldest change of an endpoint, -1 if none.
func (s subscriptions) of(endpoint string) int {
	return slices.IndexFunc(s, func(s subscription) bool { return s.endpoint == endpoint })
}

func (u *user) onWatchLoaded(ctx actor.Context, m watchLoaded) {
	s := &(*u.subs)[u.subs.of(m.endpoint)]
	if m.err != nil {
		u.endSubscribe(ctx, m.endpoint, &messages.Subscribed{Error: messages.StatusOf(storeError(m.err))})
		return
	}
	now := u.sys.now()
	var old []presence.UserID
	if w, ok := m.element.Value.(presence.Watch); ok && m.found && m.element.Live(now) {
		old = w.Targets
	}
	targets, refused, err := change(old, s.req, u.rules().Quotas.WatchesPerEndpoint)
	if err != nil {
		u.endSubscribe(ctx, m.endpoint, &messages.Subscribed{Error: messages.StatusOf(err)})
		return
	}
	s.answer = &messages.Subscribed{
		Targets: messages.FromUsers(targets), Refused: messages.FromUsers(refused), Session: u.leased(m.endpoint, now),
	}
	fresh := m.element.Expires-now.UnixMilli() > renewWatch.Milliseconds()
	if slices.Equal(old, targets) && (len(targets) == 0 || fresh) && !s.req.End {
		u.endSubscribe(ctx, m.endpoint, s.answer)
		return
	}
	u.clock.Observe(m.element.Stamp.Version)
	e := presence.Element{
		Key: presence.WatchKey(m.endpoint), Expires: now.Add(WatchLease).UnixMilli(),
		Stamp: presence.Stamp{Version: u.clock.Next(now), Node: u.sys.seed},
	}
	if !s.req.End && len(targets) > 0 {
		e.Value = presence.Watch{Targets: targets}
	}
	u.storeList(m.endpoint, e)
}

func (u *user) storeList(endpoint string, e presence.Element) {
	c := persistence.Commit{User: u.id, Elements: []presence.Element{e}}
	u.sys.store.Commit(c, false, func(_ int, err error) { u.mailbox.PostOwn(watchCommitted{endpoint, err}) })
}

func (u *user) onWatchCommitted(ctx actor.Context, m watchCommitted) {
	s := &(*u.subs)[u.subs.of(m.endpoint)]
	a := s.answer
	if m.err != nil {
		a = &messages.Subscribed{Error: messages.StatusOf(storeError(m.err))}
	}
	u.endSubscribe(ctx, m.endpoint, a)
}

// endSubscribe answers the oldest change of an endpoint and starts the next.
func (u *user) endSubscribe(ctx actor.Context, endpoint string, a *messages.Subscribed) {
	u.answer(ctx, (*u.subs)[u.subs.of(endpoint)].sender, a)
	u.nextList(endpoint)
}

// nextList takes the oldest change of an endpoint off the queue.
func (u *user) nextList(endpoint string) {
	i := u.subs.of(endpoint)
	*u.subs = slices.Delete(*u.subs, i, i+1)
	again := u.subs.of(endpoint) >= 0
	if len(*u.subs) == 0 {
		u.subs = nil
	}
	if again {
		u.loadWatch(endpoint)
	}
	u.yieldNow()
}

// change applies a request to a sorted list. What does not fit under the limit
// is refused, in the order asked; the rest is accepted.
func change(old []presence.UserID, req *messages.Subscribe, limit int) (list, refused []presence.UserID, err error) {
	add, err := messages.ToUsers(req.Add)
	if err != nil {
		return nil, nil, err
	}
	remove, err := messages.ToUsers(req.Remove)
	if err != nil {
		return nil, nil, err
	}
	if !req.Replace {
		list = slices.Clone(old)
	}
	for _, t := range remove {
		if i, ok := slices.BinarySearchFunc(list, t, presence.UserID.Compare); ok {
			list = slices.Delete(list, i, i+1)
		}
	}
	for _, t := range add {
		i, ok := slices.BinarySearchFunc(list, t, presence.UserID.Compare)
		if ok {
			continue
		}
		if len(list) >= limit {
			refused = append(refused, t)
			continue
		}
		list = slices.Insert(list, i, t)
	}
	return list, refused, nil
}
