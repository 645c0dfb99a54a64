package actors

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"rollcall/messages"
	"rollcall/presence"
)

// group is the live endpoints of one gateway that show this user, sorted by
// endpoint. It is soft state: gateways register again when it is lost.
type group struct {
	gateway   *gateway
	watchers  []watcher
	endpoints uint64           // sum of the watchers' spread numbers
	sent      presence.Version // the newest that the gateway was sent
}

// watcher is kept small: a user with thousands of them is normal. The viewer is
// shared by all registrations of its endpoint.
type watcher struct {
	viewer   *messages.User
	endpoint uint32
	view     presence.View
}

// shown is the version of what a watcher is shown. A change of permission is a
// change to those it concerns, so it has a version too: that of the block or
// the policy that made it. All are stored, so a client that comes back to
// another session, or another owner, is never told something older.
func (u *user) shown(w *watcher) presence.Version {
	v := viewerID(w.viewer)
	e := u.block(v)
	p := &u.sys.policies
	version := max(1, e.Stamp.Version, p.of(v.Tenant).Version, p.of(u.id.Tenant).Version)
	if w.view == presence.Full {
		return max(version, u.version)
	}
	return max(version, u.told)
}

// letGo tells the endpoints that are registered when an activation ends by a
// panic to register with the next.
func (u *user) letGo() {
	for i := range u.watching {
		g := &u.watching[i]
		u.alter(g, 0, 0)
		u.sys.release(g.gateway.name, u.id, g.numbers())
	}
	u.watching = nil
}

func (g *group) numbers() []uint32 {
	to := make([]uint32, len(g.watchers))
	for i := range g.watchers {
		to[i] = g.watchers[i].endpoint
	}
	return to
}

// alter keeps the sums of the gateway's registrations.
func (u *user) alter(g *group, endpoints uint64, sent presence.Version) {
	hash := u.id.Hash()
	from := share(hash, g.endpoints, g.sent)
	g.endpoints, g.sent = endpoints, sent
	g.gateway.sums.change(uint16(hash%presence.Shards), from, share(hash, endpoints, sent))
}

// drop forgets the registrations of gateways.
func (u *user) drop(which func(*gateway) bool) {
	u.watching = slices.DeleteFunc(u.watching, func(g group) bool {
		if !which(g.gateway) {
			return false
		}
		u.alter(&g, 0, 0)
		return true
	})
}

func (u *user) onUnregister(m *messages.Unregister) {
	for i := range u.watching {
		g := &u.watching[i]
		if g.gateway.name != m.Gateway {
			continue
		}
		if at, ok := g.find(m.Endpoint); ok {
			g.watchers = slices.Delete(g.watchers, at, at+1)
			u.alter(g, g.endpoints-spread(uint64(m.Endpoint)), g.sent)
		}
		if len(g.watchers) == 0 {
			u.watching = slices.Delete(u.watching, i, i+1)
		}
		return
	}
}

// onRecheck follows a changed policy: its times may move the state, its trust
// may show or hide it. Without a tenant it only settles what time has changed.
func (u *user) onRecheck(m *messages.Recheck) {
	if len(m.Tenant) > 0 {
		u.recheck()
	}
	u.settle(u.sys.now())
}

// recheck decides again for every watcher and tells those for whom the answer
// is another one.
func (u *user) recheck() {
	for i := range u.watching {
		g := &u.watching[i]
		sent := g.sent
		for j := range g.watchers {
			w := &g.watchers[j]
			view := u.decide(w.viewer)
			if view == w.view {
				continue
			}
			w.view = view
			version := u.shown(w)
			if version <= max(sent, u.told) { // a policy that looks older than what was sent
				u.clock.Observe(sent)
				version = u.clock.Next(u.sys.now())
				u.told = version
			}
			u.send(g, w.endpoint, version, u.seen(view))
		}
	}
}

// decide applies the tenants' policies and this user's blocks.
func (u *user) decide(viewer *messages.User) presence.View {
	v := viewerID(viewer)
	if v == u.id {
		return presence.Full
	}
	blocked := u.block(v).Live(u.sys.now())
	p := &u.sys.policies
	return presence.Decide(v, u.id, p.of(v.Tenant).trust, p.of(u.id.Tenant).trust, blocked)
}

// block is what is stored about blocking a viewer: a change that is still being
// committed does not count.
func (u *user) block(viewer presence.UserID) presence.Element {
	key := presence.BlockKey(viewer)
	for _, f := range [...]*flight{u.flight, u.next} {
		if f == nil {
			continue
		}
		for _, e := range f.replaced {
			if e.Key == key {
				return e
			}
		}
	}
	e, _ := u.record.Get(key)
	return e
}

// viewerID reads a viewer that the front end has made from a token.
func viewerID(m *messages.User) (id presence.UserID) {
	copy(id.Tenant[:], m.GetTenant())
	id.MRI = m.GetMri()
	return id
}

// seen is the committed state as a viewer may see it; a user nobody has stored
// anything about is offline.
func (u *user) seen(v presence.View) presence.State {
	return u.state.Public().Seen(v)
}

func (u *user) onRead(ctx actor.Context, m *messages.Read, sender *actor.PID) {
	a := &messages.Presence{User: messages.FromUser(u.id), Version: uint64(u.version)}
	view := u.decide(m.Viewer)
	state := u.seen(view)
	if viewerID(m.Viewer) == u.id && u.version != 0 {
		state, _ = presence.Aggregate(&u.record, u.sys.now(), u.rules().Rules)
		if state.Visible(u.state) {
			state = u.state
		}
	}
	if view != presence.Full {
		a.Version = 0 // a version would tell when somebody hidden changed
	}
	a.State = messages.FromState(state)
	u.answer(ctx, sender, a)
}

func (u *user) onListBlocks(ctx actor.Context, sender *actor.PID) {
	a := &messages.Blocks{}
	now := u.sys.now()
	for _, e := range u.record.Kind(presence.KindBlock) {
		_, rest := e.Key.Split()
		if blocked, err := presence.ParseTarget(rest, u.id.Tenant); err == nil && e.Live(now) {
			a.Users = append(a.Users, messages.FromUser(blocked))
		}
	}
	u.answer(ctx, sender, a)
}

// send gives one endpoint one state.
func (u *user) send(g *group, endpoint uint32, v presence.Version, s presence.State) {
	u.alter(g, g.endpoints, max(g.sent, v))
	u.sys.deliver(g.gateway.name, &Update{Publisher: u.id, Version: v, State: s}, []uint32{endpoint})
}

func (u *user) group(name string) *group {
	for i := range u.watching {
		if u.watching[i].gateway.name == name {
			return &u.watching[i]
		}
	}
	u.watching = append(u.watching, group{gateway: u.sys.gateways.of(name)})
	return &u.watching[len(u.watching)-1]
}

func (g *group) find(endpoint uint32) (int, bool) {
	return slices.BinarySearchFunc(g.watchers, endpoint, func(w watcher, e uint32) int {
		return int(int64(w.endpoint) - int64(e))
	})
}

// insert makes room for one more; lists grow by an eighth, since there is one
// for every user that is watched.
func (g *group) insert(i int) {
	if len(g.watchers) == cap(g.watchers) {
		grown := make([]watcher, len(g.watchers), len(g.watchers)+len(g.watchers)/8+2)
		copy(grown, g.watchers)
		g.watchers = grown
	}
	g.watchers = slices.Insert(g.watchers, i, watcher{})
}

func (u *user) watchers() (n int) {
	for i := range u.watching {
		n += len(u.watching[i].watchers)
	}
	return n
}

// fanOut sends the committed state to everybody who may see it: one update per
// gateway, whatever the number of its endpoints.
func (u *user) fanOut(received int64) {
	if u.version > u.owed {
		u.owed = 0
	}
	up := &Update{Publisher: u.id, Version: u.version, State: u.state.Public(), received: received}
	for i := range u.watching {
		g := &u.watching[i]
		to := make([]uint32, 0, len(g.watchers))
		for j := range g.watchers {
			if g.watchers[j].view == presence.Full {
				to = append(to, g.watchers[j].endpoint)
			}
		}
		if len(to) > 0 {
			u.alter(g, g.endpoints, max(g.sent, u.version))
			u.sys.deliver(g.gateway.name, up, to)
		}
	}
}

// pacing holds back the announcements of a user that changes all the time.
type pacing struct {
	paceTimer
	tokens   paceBucket
	held     bool
	received int64
	urgent   bool // an urgent state went out ahead of its turn
}

// announce fans out at once unless the user has changed too often; then the
// newest state goes out when its turn comes. A call or do-not-disturb that
// comes up in the meantime does not wait.
func (u *user) announce(received int64) {
	if len(u.watching) == 0 {
		return
	}
	every := u.interval()
	if every == 0 {
		u.fanOut(received)
		return
	}
	if u.pace == nil {
		u.pace = newPacing(u.mailbox)
	}
	p := u.pace
	ok, wait := p.tokens.take(u.sys.now(), every)
	if !ok && !p.urgent && urgent(u.state) {
		p.urgent, ok = true, true
	}
	if ok {
		u.fanOut(received)
		return
	}
	if !p.held {
		p.held, p.received = true, received
		u.sys.wheel.Schedule(&p.timer, u.sys.now().Add(wait))
	}
}

func (u *user) onPaceTick() {
	p := u.pace
	p.held, p.urgent = false, false
	if ok, wait := p.tokens.take(u.sys.now(), u.interval()); !ok {
		p.held = true
		u.sys.wheel.Schedule(&p.timer, u.sys.now().Add(wait))
		return
	}
	u.fanOut(p.received)
}

// slowInterval is the least time between two fan-outs of a user with very many
// watchers.
const slowInterval = 5 * time.Second

func (u *user) interval() time.Duration {
	p := u.rules()
	if u.watchers() >= p.Quotas.CoalesceAt {
		return max(p.ChangeInterval, slowInterval)
	}
	return p.ChangeInterval
}

func urgent(s presence.State) bool {
	switch s.Activity {
	case presence.ActInACall, presence.ActInAConferenceCall, presence.ActPresenting:
		return true
	}
	return s.Availability == presence.DoNotDisturb
}
