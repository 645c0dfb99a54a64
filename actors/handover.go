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

// An activation moves like this. The old owner's lets its commit end, says what
// it knows and leaves (yield). What it said goes to the new owner, which merges it
// into what it has and stores what is new to it before it answers (onAdopt). Then
// those who watch are told to register with the new one, which knows by then all
// that they were shown. What is stored moves by itself, and a new owner asks for
// what it does not have yet: a crash at any point loses nothing.

const (
	handoverAtOnce = 16              // users of one shard on their way
	adoptTime      = 5 * time.Second // for one answer of the new owner
	adoptElements  = 200             // in one message
)

// yield asks an activation to leave. What it knows goes to the channel.
type yield struct{ to chan<- farewell }

// farewell is the last word of an activation.
type farewell struct {
	known    *messages.Adopt // nil where that is no more than what is stored
	watching []group         // who must register anew
}

// yield hands the activations of a shard over. It returns when the new owner has
// stored what it did not know.
func (s *System) yield(ctx context.Context, _ uint16, active []*cluster.Mailbox) (int, error) {
	known, err := s.vacate(ctx, active)
	defer s.releaseAll(known)
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
	for u, f := range known {
		mu.Lock()
		over := failed != nil
		mu.Unlock()
		if over || ctx.Err() != nil {
			break
		}
		if f.known != nil {
			work <- u
		}
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

// moveUser tells the new owner all that the old one knew of a user.
func (s *System) moveUser(ctx context.Context, u presence.UserID, known *messages.Adopt) error {
	for _, p := range split(known) {
		if err := s.adopt(ctx, u, p); err != nil {
			return err
		}
	}
	return nil
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
	if u.yielding != nil && u.flight == nil && u.loading != nil && u.loading.failed {
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
type adoption struct{ sender *actor.PID }

// onAdopt merges what the old owner, or another, has of this user. It is
// answered when all that was new is stored. In a clean handover, where nobody
// was told anything here yet, the version goes on; where two owners were at work
// what they said is brought together under a new one.
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
	f := &flight{adopted: []*adoption{{sender}}}
	alive := u.aliveSessions(elements, m.Hosts, now)
	for _, e := range elements {
		if u.learn(e, now) {
			f.elements = append(f.elements, e)
		}
	}
	f.blocks = blocksOf(f.elements)
	f.elements = append(f.elements, u.revive(alive, now)...)
	u.adoptHosts(m.Hosts, now)
	f.force = u.adoptState(m, now)
	if len(f.elements) == 0 && !f.force {
		u.adopted(ctx, f.adopted[0], nil)
	} else {
		u.commit(f)
	}
	u.settle(now)
}

// learn merges an element of another owner and says whether it was new here. A
// longer lease under the same stamp is no news to the store.
func (u *user) learn(e presence.Element, now time.Time) bool {
	u.advance(e.Stamp.Version, now)
	was, known := u.record.Get(e.Key)
	return u.record.Merge(e) && (!known || was.Stamp != e.Stamp)
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
func (u *user) revive(alive []presence.Element, now time.Time) (revived []presence.Element) {
	for _, e := range alive {
		is, _ := u.record.Get(e.Key)
		if is.Value != nil || is.Expires == 0 || is.Stamp.Version.Millis() < is.Expires {
			continue
		}
		e.Stamp = presence.Stamp{Version: u.clock.Next(now), Node: u.sys.seed}
		u.record.Merge(e)
		revived = append(revived, e)
	}
	return revived
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

// adopted ends an adoption.
func (u *user) adopted(ctx actor.Context, a *adoption, err error) {
	answer := &messages.Adopted{}
	if err != nil {
		answer.Error = messages.StatusOf(storeError(err))
	}
	u.answer(ctx, a.sender, answer)
}
