package actors

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"rollcall/cluster"
	"rollcall/messages"
	"rollcall/presence"
	"rollcall/trouter"
	"rollcall/wheel"
)

const (
	// EndpointGrace is how long an endpoint waits for its client to come back.
	EndpointGrace = 60 * time.Second
	// PingEvery is how often a connection is asked for a sign of life.
	PingEvery = 25 * time.Second
	// SilentAfter is how long a connection may be silent.
	SilentAfter = 60 * time.Second
)

// endpoint owns what one client watches and has not acknowledged. It runs on
// the gateway that holds the connection and outlives it by a grace.
type endpoint struct {
	sys     *System
	key     EndpointKey
	number  uint32
	mailbox *cluster.Mailbox
	ended   atomic.Pointer[chan struct{}] // made for who waits, closed when the endpoint is over
	lost    atomic.Bool                   // updates did not fit into the mailbox
	away    atomic.Bool                   // it has no connection and takes none any more
	viewer  *messages.User                // shared by all registrations
	secret  secret                        // in its URL

	session   secret // zero: none that can be resumed
	epoch     uint32
	device    presence.Device
	conn      Conn // nil while there is none
	since     time.Time
	attached  int64              // unix ms, of the connection there was last
	unwritten bool               // the connection holds what no flush has written
	leasing   bool               // the device has published a session that must be kept alive
	said      *presence.Mutation // the session as published last, nil if it is not known here
	publishes publishes
	over      bool
	leaving   bool // the node goes away: no connection is taken any more

	queue   trouter.Queue[*Update]
	counted counted
	watches []watched // sorted by number
	asking  asking
	timer   wheel.Timer
	beat    time.Time
	renew   int64 // unix seconds, when the durable list is renewed
}

// watched is one user that the endpoint shows, with the version it was sent
// last.
type watched struct {
	of   *publisher
	mark uint64 // the version, and whether it is registered
}

// registeredMark is a bit that no version has before the year 6429.
const registeredMark = 1 << 63

func (w *watched) version() presence.Version { return presence.Version(w.mark &^ registeredMark) }
func (w *watched) shows(v presence.Version)  { w.mark = w.mark&registeredMark | uint64(v) }
func (w *watched) registered() bool          { return w.mark&registeredMark != 0 }

// Messages of an endpoint to itself.
type (
	subscribed struct {
		watch   *watch // nil: the list as it was when the client connected
		session secret
		answer  *messages.Subscribed
		err     error
	}
	published struct {
		epoch  uint32
		id     uint64
		answer *messages.Published
		err    error
	}
	endpointTick struct{}

	// forgotten says that a publisher has lost its list of endpoints.
	forgotten struct{ publisher presence.UserID }
)

func newEndpoint(s *System, k EndpointKey, number uint32) *endpoint {
	e := &endpoint{sys: s, key: k, number: number, secret: newSecret()}
	e.viewer = &messages.User{Tenant: e.key.User.Tenant[:], Mri: k.User.MRI}
	return e
}

// address is where the endpoint is reached; its organisation is its tenant's.
func (e *endpoint) address() trouter.Address {
	org := e.sys.policies.of(e.key.User.Tenant).Org
	if org == "" {
		org = DefaultOrg
	}
	return trouter.Address{
		Org: org, Tenant: e.key.User.Tenant.String(), Node: e.sys.node.ID, Endpoint: e.secret.String(),
	}
}

// done is closed when the endpoint is over.
func (e *endpoint) done() <-chan struct{} {
	made := make(chan struct{})
	if e.ended.CompareAndSwap(nil, &made) {
		return made
	}
	return *e.ended.Load()
}

// DefaultOrg is the organisation in endpoint URLs of tenants that have none.
const DefaultOrg = "default"

func (e *endpoint) start(m *cluster.Mailbox) {
	e.mailbox = m
	m.OnDrained(e.settle)
	m.OnFlush(e.flush)
	e.timer.Target = e
}

// Fire is called by the wheel.
func (e *endpoint) Fire(*wheel.Timer, time.Time) { e.mailbox.PostOwn(endpointTick{}) }

// Receive dispatches. A burst of updates ends in one flush.
func (e *endpoint) Receive(ctx actor.Context) {
	if e.over {
		return
	}
	switch m := ctx.Message().(type) {
	case *Update:
		e.onUpdate(m)
	case ack:
		e.onAck(m)
	case *publish:
		e.onPublish(m)
	case published:
		e.onPublished(m)
	case publishEnded:
		e.onPublishEnded()
	case *watch:
		e.onWatch(m)
	case subscribed:
		e.onSubscribed(m)
	case activity:
		e.onActivity(m)
	case *attach:
		e.onAttach(m)
	case detach:
		e.onDetach(m)
	case bye:
		e.onBye(m)
	case endpointTick:
		e.onTick()
	case forgotten:
		e.onForgotten(m.publisher)
	case *lostShards:
		e.onLostShards(m)
	case lapsed:
		e.onLapsed()
	case superseded:
		e.onSuperseded()
	case shed:
		e.onShed(m)
	case goingAway:
		e.onGoingAway(m)
	case *actor.Stopping:
		e.end() // only after a panic: else it is over already
	}
}

// mine says whether a message came over the present connection.
func (e *endpoint) mine(epoch uint32) bool {
	return epoch == 0 || (epoch == e.epoch && e.conn != nil)
}

func (e *endpoint) onUpdate(u *Update) {
	i, ok := e.find(u.of)
	if !ok {
		e.onUnwanted(u.Publisher)
		return
	}
	w := &e.watches[i]
	if w.version() == 0 {
		e.asking.answered()
	}
	if u.Version <= w.version() {
		e.sys.metrics.stale.Inc()
		return
	}
	w.shows(u.Version)
	e.queue.Put(trouter.Item[*Update]{
		Publisher: u.of.number, Version: uint64(u.Version), Size: u.size(), Value: u,
	}, e.sys.now(), &e.sys.limits)
}

// onUnwanted ends a registration that outlived its watch. One that was made
// anew since is left alone: it is answered anew.
func (e *endpoint) onUnwanted(publisher presence.UserID) {
	if _, watches := e.find(e.sys.numbers.find(publisher)); !watches {
		e.sys.unregister(publisher, e.number)
	}
}

// onForgotten registers again with a publisher that has lost its list.
func (e *endpoint) onForgotten(publisher presence.UserID) {
	p := e.sys.numbers.find(publisher)
	if _, watches := e.find(p); watches {
		e.asking.left = append(e.asking.left, p)
	}
}

func (e *endpoint) find(p *publisher) (int, bool) {
	if p == nil {
		return 0, false
	}
	i, ok := slices.BinarySearchFunc(e.watches, p, func(w watched, p *publisher) int {
		return int(int64(w.of.number) - int64(p.number))
	})
	return i, ok && e.watches[i].of == p
}

func (e *endpoint) onShed(m shed) {
	if e.queue.Len() > 0 && e.queue.Bytes() >= m.bytes {
		e.queue.Shed()
	}
}

// settle ends a turn: what the burst has led to is put in order, and written as
// soon as nothing more urgent is waiting on this processor.
func (e *endpoint) settle() {
	if e.over {
		return
	}
	now := e.sys.now()
	if e.lost.Swap(false) {
		e.resync(now)
	} else if e.queue.NeedsResync() && e.queue.InFlight() == 0 {
		e.resync(now)
	}
	e.ask(now)
	e.count()
	if e.conn != nil && (e.unwritten || e.queue.Len() > 0 && e.queue.InFlight() < e.sys.limits.Window) {
		e.mailbox.Flush()
		return
	}
	e.arm(now)
}

// flush sends what has collected since the connection was last written to, in
// one write.
func (e *endpoint) flush() {
	if e.over {
		return
	}
	now := e.sys.now()
	if e.conn != nil {
		for b, ok := e.queue.Next(now, &e.sys.limits); ok; b, ok = e.queue.Next(now, &e.sys.limits) {
			e.sys.metrics.batches.Inc()
			e.sys.metrics.deliveries.Add(float64(len(b.Items)))
			e.send(b)
		}
		e.conn.Flush()
		e.unwritten = false
	}
	e.count()
	e.arm(now)
}

// counted is this endpoint's share of the gauges.
type counted struct{ queued, inFlight int32 }

func (e *endpoint) count() {
	is := counted{int32(e.queue.Len()), int32(e.queue.InFlight())}
	if d := is.queued - e.counted.queued; d != 0 {
		e.sys.metrics.queued.Add(float64(d))
	}
	if d := is.inFlight - e.counted.inFlight; d != 0 {
		e.sys.metrics.inFlight.Add(float64(d))
	}
	e.counted = is
}

func (e *endpoint) send(b trouter.Batch[*Update]) {
	updates := make([]*Update, len(b.Items))
	for i := range b.Items {
		updates[i] = b.Items[i].Value
	}
	e.conn.SendBatch(b.Seq, updates)
	e.unwritten = true
}

func (e *endpoint) onAck(m ack) {
	if !e.mine(m.epoch) {
		return
	}
	batches, err := e.queue.Ack(m.seq, e.sys.now())
	if err != nil {
		e.disconnect(CloseProtocol)
		return
	}
	now := e.sys.now().UnixNano()
	for _, b := range batches {
		e.sys.metrics.acks.Add(float64(len(b.Items)))
		for i := range b.Items {
			if at := b.Items[i].Value.received; at > 0 {
				e.sys.metrics.acknowledged.Observe(float64(now-at) / 1e9)
			}
		}
	}
}
