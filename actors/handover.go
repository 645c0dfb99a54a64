package actors

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"rollcall/cluster"
	"rollcall/messages"
	"rollcall/presence"
)

// A user moves like this. The old owner's activation lets its commit end, says
// what it knows and leaves (yield). What it said, and what is stored, goes to
// the new owner, which merges it into what it has and stores it before it
// answers (onAdopt). Then the old owner forgets the user, and those who watch
// are told to register with the new one, which knows by then all that they were
// shown. A crash at any point leaves a copy that is handed over again.

const (
	handoverAtOnce = 16              // users of one shard on their way
	adoptTime      = 5 * time.Second // for one answer of the new owner
	adoptElements  = 200             // in one message; lists travel alone
)

// yield asks an activation to leave. What it knows goes to the channel.
type yield struct{ to chan<- farewell }

// farewell is the last word of an activation.
type farewell struct {
	known    *messages.Adopt // nil where that is no more than what is stored
	watching []group         // who must register anew
}

// yield hands a shard over. It returns when the new owner has stored everything.
func (s *System) yield(ctx context.Context, shard uint16, active []*cluster.Mailbox) (int, error) {
	known, err := s.vacate(ctx, active)
	defer s.releaseAll(known)
	if err != nil {
		return 0, err
	}
	users, err := s.store.Users(shard)
	if err != nil {
		return 0, err
	}
	work := make(chan presence.UserID)
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		moved  int
		failed error
	)
	for range handoverAtOnce {
		wg.Go(func() {
			for u := range work {
				err := s.moveUser(ctx, u, known[u].known)
				mu.Lock()
				if err == nil {
					moved++
				} else {
					failed = err
				}
				mu.Unlock()
			}
		})
	}
	for _, u := range users {
		mu.Lock()
		over := failed != nil
		mu.Unlock()
		if over || ctx.Err() != nil {
			break
		}
		work <- u
	}
	close(work)
	wg.Wait()
	return moved, errors.Join(failed, ctx.Err())
}

// vacate ends the activations and collects what they knew.
func (s *System) vacate(ctx context.Context, active []*cluster.Mailbox) (map[presence.UserID]farewell, error) {
	known := make(map[presence.UserID]farewell, len(active))
	said := make([]chan farewell, len(active))
	for i, m := range active {
		said[i] = make(chan farewell, 1)
		m.PostOwn(yield{said[i]})
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i, m := range active {
		for waiting := true; waiting; {
			select {
			case a := <-said[i]:
				known[m.Address().ID] = a
				waiting = false
			case <-tick.C:
				waiting = !m.Closed() // it may have ended by itself
			case <-ctx.Done():
				return known, ctx.Err()
			}
		}
	}
	return known, nil
}

// releaseAll tells those who watch to register with the new owner.
func (s *System) releaseAll(known map[presence.UserID]farewell) {
	for u, f := range known {
		for i := range f.watching {
			s.release(f.watching[i].gateway.name, u, f.watching[i].numbers())
		}
	}
}

// moveUser hands one user over and forgets it.
func (s *System) moveUser(ctx context.Context, u presence.UserID, known *messages.Adopt) error {
	h, err := s.store.Hold(u)
	if err != nil {
		return err
	}
	first := known
	if first == nil {
		first = &messages.Adopt{Version: uint64(h.Loaded.Version), State: messages.FromState(h.Loaded.State)}
		for _, e := range h.Loaded.Record.Elements() {
			first.Elements = append(first.Elements, messages.FromElement(e))
		}
	}
	parts := split(first)
	for _, e := range h.Watches {
		parts = append(parts, &messages.Adopt{Elements: []*messages.Element{messages.FromElement(e)}})
	}
	for _, p := range parts {
		if err := s.adopt(ctx, u, p); err != nil {
			return err
		}
	}
	done := make(chan error, 1)
	s.store.Forget(h, func(err error) { done <- err })
	return <-done
}

// split keeps a message within the size that nodes take: the first part carries
// all but the elements that do not fit.
func split(a *messages.Adopt) []*messages.Adopt {
	parts := []*messages.Adopt{a}
	for rest := a.Elements; len(rest) > adoptElements; {
		rest = rest[adoptElements:]
		parts = append(parts, &messages.Adopt{Elements: rest[:min(adoptElements, len(rest))]})
	}
	a.Elements = a.Elements[:min(adoptElements, len(a.Elements))]
	return parts
}

// adopt gives the new owner one part and waits until it is stored there.
func (s *System) adopt(ctx context.Context, u presence.UserID, part *messages.Adopt) error {
	done := make(chan error, 1)
	s.node.HandOver(cluster.User(u), part, adoptTime, func(a any, err error) {
		adopted, _ := a.(*messages.Adopted)
		if err == nil {
			err = adopted.GetError().Err()
		}
		done <- err
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// yieldNow leaves when nothing is under way any more.
func (u *user) yieldNow() {
	if u.yielding != nil && u.loading != nil && u.loading.failed {
		u.leave(nil) // what is stored is handed over without
		return
	}
	if u.yielding == nil || u.loading != nil || u.flight != nil || u.subs != nil {
		return
	}
	a := &messages.Adopt{
		Version: uint64(u.version), State: messages.FromState(u.state), Told: uint64(u.told),
	}
	for _, e := range u.record.Elements() {
		a.Elements = append(a.Elements, messages.FromElement(e))
	}
	for _, h := range u.hosts {
		a.Hosts = append(a.Hosts, &messages.Host{Endpoint: h.endpoint, Gateway: h.gateway.name, Published: h.published, Attached: h.attached})
	}
	u.leave(a)
}

// leave ends the activation.
func (u *user) leave(a *messages.Adopt) {
	u.stopTimers()
	watching := slices.Clone(u.watching)
	u.drop(func(*gateway) bool { return true })
	u.yielding <- farewell{a, watching}
	u.yielding = nil
	u.mailbox.Leave(nil)
}

// adoption is a part of another owner's knowledge on its way into the store.
type adoption struct {
	sender *actor.PID
	left   int
	err    error
}

// onAdopt merges what the old owner, or another, has of this user. It is
// answered when all is stored. In a clean handover, where nobody was told
// anything here yet, the version goes on; where two owners were at work what
// they said is brought together under a new one.
func (u *user) onAdopt(ctx actor.Context, m *messages.Adopt, sender *actor.PID) {
	now := u.sys.now()
	elements := make([]presence.Element, len(m.Elements))
	for i, x := range m.Elements {
		var err error
		if elements[i], err = messages.ToElement(x); err != nil {
			u.answer(ctx, sender, &messages.Adopted{Error: messages.StatusOf(err)})
			return
		}
	}
	a := &adoption{sender: sender, left: 1}
	f := &flight{adopted: []*adoption{a}}
	alive := u.aliveSessions(elements, m.Hosts, now)
	for _, e := range elements {
		kind, rest := e.Key.Split()
		if kind == presence.KindWatch {
			a.left++
			u.queueList(subscription{endpoint: rest, adopt: a, list: e})
			continue
		}
		if u.record.Merge(e) && kind == presence.KindBlock {
			f.blocks = append(f.blocks, e)
		}
		u.advance(e.Stamp.Version, now)
	}
	u.revive(alive, now)
	u.adoptHosts(m.Hosts, now)
	f.force = u.adoptState(m, now)
	if m.State == nil && len(f.blocks) == 0 && a.left > 1 { // lists alone
		u.adopted(ctx, a, nil)
		return
	}
	u.commit(f)
	u.settle(now)
}

// aliveSessions are the sessions, of this owner and of the other, whose gateways
// live. An owner that was cut off from a gateway has let them lapse, which is
// later than anything the device has said, and wrong.
func (u *user) aliveSessions(theirs []presence.Element, hosts []*messages.Host, now time.Time) (alive []presence.Element) {
	live := func(e presence.Element) bool {
		s, ok := e.Value.(presence.Session)
		return ok && s.Leased && e.Live(now)
	}
	for _, h := range u.hosts {
		if e, _ := u.record.Get(presence.SessionKey(h.endpoint)); u.sys.member(h.gateway.name) && live(e) {
			alive = append(alive, e)
		}
	}
	for _, e := range theirs {
		hosted := slices.ContainsFunc(hosts, func(h *messages.Host) bool {
			return presence.SessionKey(h.Endpoint) == e.Key && u.sys.member(h.Gateway)
		})
		if hosted && live(e) {
			alive = append(alive, e)
		}
	}
	return alive
}

// revive undoes lapses of sessions that are alive. What a client has ended
// itself stays ended: that was before the lease was over.
func (u *user) revive(alive []presence.Element, now time.Time) {
	for _, e := range alive {
		is, _ := u.record.Get(e.Key)
		if is.Value != nil || is.Expires == 0 || is.Stamp.Version.Millis() < is.Expires {
			continue
		}
		e.Stamp = presence.Stamp{Version: u.clock.Next(now), Node: u.sys.seed}
		u.record.Merge(e)
	}
}

// advance raises the clock to what another node has given out. One that runs
// too far ahead is counted, but what it has stored is kept.
func (u *user) advance(v presence.Version, now time.Time) {
	if u.clock.Accept(v, now) != nil {
		u.sys.metrics.clockAhead.Inc()
		u.clock.Observe(v)
	}
}

// adoptState takes the state that the old owner has announced for this user's
// own where that is certain to be the newest. It says whether what results must
// be announced even if it looks the same.
func (u *user) adoptState(m *messages.Adopt, now time.Time) (announce bool) {
	v := presence.Version(m.Version)
	if m.State == nil || v == 0 {
		return false
	}
	u.advance(max(v, presence.Version(m.Told)), now)
	u.told = max(u.told, presence.Version(m.Told))
	if u.flight == nil && len(u.watching) == 0 {
		if v > u.version {
			u.state, u.version = messages.ToState(m.State), v
		}
		return false
	}
	return v != u.version
}

func (u *user) adoptHosts(hosts []*messages.Host, now time.Time) {
	for _, h := range hosts {
		switch {
		case u.hostOf(h.Endpoint) != nil: // it has come here already
		case u.sys.member(h.Gateway):
			u.hostBy(h.Endpoint, h.Gateway, h.Published).attached = h.Attached
		default:
			u.orphan(h.Endpoint, now)
		}
	}
}

// adoptList stores a list that is newer than the one here.
func (u *user) adoptList(ctx actor.Context, s *subscription, m watchLoaded) {
	if m.err != nil || m.found && m.element.Stamp.Compare(s.list.Stamp) >= 0 {
		u.endList(ctx, s, m.err)
		return
	}
	u.advance(s.list.Stamp.Version, u.sys.now())
	u.sys.store.CommitWatch(u.id, s.list, func(err error) {
		u.mailbox.PostOwn(watchCommitted{m.endpoint, err})
	})
}

func (u *user) endList(ctx actor.Context, s *subscription, err error) {
	u.adopted(ctx, s.adopt, err)
	u.nextList(s.endpoint)
}

// adopted ends one part of an adoption; the last one is answered.
func (u *user) adopted(ctx actor.Context, a *adoption, err error) {
	a.left--
	a.err = errors.Join(a.err, err)
	if a.left > 0 {
		return
	}
	answer := &messages.Adopted{}
	if a.err != nil {
		answer.Error = messages.StatusOf(storeError(a.err))
	}
	u.answer(ctx, a.sender, answer)
}
