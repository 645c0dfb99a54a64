package actors

import (
	"cmp"
	"slices"
	"time"

	"rollcall/cluster"
	"rollcall/messages"
	"rollcall/presence"
)

// Snapshots are asked for in waves, so that a long list fits through the
// queue: the next wave goes out when the last one has been answered and the
// client keeps up.
const (
	waveSize = 100
	waveRoom = 24 << 10 // bytes in the queue up to which a wave may start
	waveWait = time.Second
)

// asking is what has still to be registered.
type asking struct {
	left    []*publisher
	waiting int       // answers of the last wave
	next    time.Time // when the next wave goes out without them
	size    int       // of a wave; 0: waveSize
}

// smaller is how waves go on after one that did not fit through the queue; when
// even a single state did not, after a while.
func (a *asking) smaller(now time.Time) asking {
	if a.size == 1 {
		return asking{size: 1, waiting: 1, next: now.Add(waveWait)}
	}
	return asking{size: max(1, cmp.Or(a.size, waveSize)/4)}
}

func (a *asking) answered() {
	if a.waiting > 0 {
		a.waiting--
	}
}

func (e *endpoint) onWatch(m *watch) {
	if !e.mine(m.epoch) {
		return
	}
	session := e.session
	req := &messages.Subscribe{
		Endpoint: e.key.ID, Replace: m.Replace,
		Add: messages.FromUsers(m.Add), Remove: messages.FromUsers(m.Remove),
	}
	e.sys.node.Ask(cluster.User(e.key.User), req, RequestTimeout, func(a any, err error) {
		s, _ := a.(*messages.Subscribed)
		e.mailbox.PostOwn(subscribed{watch: m, session: session, answer: s, err: err})
	})
}

// onSubscribed takes the durable list as it is now: the client is answered,
// then what is new is registered and what is gone let go.
func (e *endpoint) onSubscribed(m subscribed) {
	err := m.err
	if err == nil {
		err = m.answer.GetError().Err()
	}
	var targets []presence.UserID
	if err == nil {
		targets, err = messages.ToUsers(m.answer.Targets)
	}
	if err != nil {
		e.listFailed(m, err)
		return
	}
	if m.watch != nil {
		e.replyWatch(m.watch, Answer{Watching: len(targets), Refused: e.names(m.answer.Refused)})
	}
	if m.watch == nil && m.answer.Session && !e.leasing { // it was published at another gateway
		e.leasing = true
		e.lease(e.sys.now().Add(LeaseTime + PingEvery))
	}
	e.apply(targets, m.watch == nil)
}

// listFailed tells the client; a list that could not be read is read again on
// the client's next connection, which is asked for.
func (e *endpoint) listFailed(m subscribed, err error) {
	if m.watch != nil {
		e.replyWatch(m.watch, Answer{Err: err})
		return
	}
	if m.session == e.session {
		e.disconnect(CloseGoingAway)
		e.session = secret{}
	}
}

func (e *endpoint) replyWatch(w *watch, a Answer) {
	if w.done != nil {
		w.done(a)
		return
	}
	if e.conn != nil && e.mine(w.epoch) {
		e.conn.Answer(w.id, a)
		e.unwritten = true
	}
}

// names are the users as the client calls them.
func (e *endpoint) names(users []*messages.User) []string {
	var out []string
	for _, m := range users {
		u := viewerID(m)
		if u.Tenant == e.key.User.Tenant {
			out = append(out, u.MRI)
		} else {
			out = append(out, u.String())
		}
	}
	return out
}

// apply makes the endpoint watch exactly the targets. With all, those watched
// before are registered again too.
func (e *endpoint) apply(targets []presence.UserID, all bool) {
	wanted := make(map[presence.UserID]bool, len(targets))
	for _, t := range targets {
		wanted[t] = true
	}
	kept := make([]watched, 0, len(targets))
	for _, w := range e.watches {
		if !wanted[w.of.id] {
			e.unwatch(&w)
			continue
		}
		delete(wanted, w.of.id)
		kept = append(kept, w)
		if all {
			e.asking.left = append(e.asking.left, w.of)
		}
	}
	for _, t := range targets {
		if wanted[t] {
			p := e.sys.numbers.acquire(t)
			kept = append(kept, watched{of: p})
			e.asking.left = append(e.asking.left, p)
		}
	}
	slices.SortFunc(kept, func(a, b watched) int { return int(int64(a.of.number) - int64(b.of.number)) })
	e.watches = slices.Clip(kept)
}

func (e *endpoint) unwatch(w *watched) {
	e.queue.Drop(w.of.number)
	e.asking.left = slices.DeleteFunc(e.asking.left, func(x *publisher) bool { return x == w.of })
	e.unregister(w)
}

func (e *endpoint) unregister(w *watched) {
	if w.registered() {
		e.sys.numbers.registered(w.of, e.number, false)
		e.sys.unregister(w.of.id, e.number)
	}
	e.sys.numbers.release(w.of)
}

// resync starts over after updates were dropped: state, not history, is what
// the client is owed, so every watched user is asked for its present state.
func (e *endpoint) resync(now time.Time) {
	e.sys.metrics.resyncs.Inc()
	e.queue.Resynced()
	e.asking = e.asking.smaller(now)
	for i := range e.watches {
		e.watches[i].shows(0)
		e.asking.left = append(e.asking.left, e.watches[i].of)
	}
}

// ask sends the next wave of registrations if its turn has come. Those that
// nobody has answered go out again at the end: a busy publisher may have
// dropped them.
func (e *endpoint) ask(now time.Time) {
	a := &e.asking
	if len(a.left) == 0 && a.waiting == 0 {
		*a = asking{}
		return
	}
	if e.conn == nil || e.queue.Bytes() > waveRoom || e.queue.NeedsResync() {
		a.next = time.Time{} // an acknowledgement or a connection brings the next turn
		return
	}
	if a.waiting > 0 && now.Before(a.next) {
		return
	}
	if len(a.left) == 0 {
		a.left = e.unanswered()
	}
	size := cmp.Or(a.size, waveSize)
	left := a.left
	a.left, a.waiting, a.next = nil, 0, now.Add(waveWait)
	for len(left) > 0 && a.waiting < size {
		p := left[0]
		left = left[1:]
		if e.register(p, now) {
			a.waiting++
		}
	}
	a.left = append(left, a.left...) // what did not go out comes last
	if len(a.left) == 0 && a.waiting == 0 {
		*a = asking{}
	}
}

func (e *endpoint) unanswered() (left []*publisher) {
	for _, w := range e.watches {
		if w.version() == 0 {
			left = append(left, w.of)
		}
	}
	return left
}

// register asks a publisher for its state and for what changes from now on. It
// says whether there will be an answer in any case: who has a state is only told
// of a newer one. An id that can have no presence is answered here.
func (e *endpoint) register(p *publisher, now time.Time) (answered bool) {
	if !p.id.Tracked() {
		var c presence.Clock
		e.onUpdate(&Update{Publisher: p.id, Version: c.Next(now), of: p})
		return false
	}
	i, ok := e.find(p)
	if !ok {
		return false
	}
	w := &e.watches[i]
	if !w.registered() {
		w.mark |= registeredMark
		e.sys.numbers.registered(p, e.number, true)
	}
	msg := &messages.Register{
		Viewer: e.viewer, Gateway: e.sys.node.Name, Endpoint: e.number,
		Have: uint64(w.version()), Newest: uint64(e.sys.numbers.newest(p)),
	}
	if e.sys.node.Tell(cluster.User(p.id), msg) != nil {
		e.asking.left = append(e.asking.left, p)
		return true // one place of the wave, until the next
	}
	return w.version() == 0
}
