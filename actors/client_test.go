package actors

import (
	"context"
	"sync"
	"testing"
	"time"

	"rollcall/presence"
	"rollcall/trouter"
)

// device is a client of the test: a connection that keeps what it was sent and
// acknowledges it, as a real one would.
type device struct {
	t    testing.TB
	w    *world
	key  EndpointKey
	link *Link

	mu       sync.Mutex
	receiver trouter.Receiver
	deaf     bool          // takes nothing in and acknowledges nothing
	lag      time.Duration // before it acknowledges, in virtual time
	batches  int           // as they came, repeats too
	items    int           // applied
	stale    int           // versions that were not newer

	regressions int // versions that were older
	states      map[presence.UserID]presence.State
	versions    map[presence.UserID]presence.Version
	history     []presence.State
	welcomes    []Attached
	answers     map[uint64]Answer
	closed      CloseReason
	hints       []Hint
	pings       int
	heard       time.Time
}

func (w *world) device(u presence.UserID, id string) *device {
	d := &device{t: w.t, w: w, key: EndpointKey{u, id}}
	d.states, d.versions = map[presence.UserID]presence.State{}, map[presence.UserID]presence.Version{}
	d.answers = map[uint64]Answer{}
	return d
}

func (w *world) connect(u presence.UserID, id string) *device {
	w.t.Helper()
	d := w.device(u, id)
	d.attach("", 0)
	return d
}

func (d *device) attach(session string, ack uint64) {
	d.t.Helper()
	d.mu.Lock()
	d.closed, d.heard = 0, d.w.clock.now()
	d.mu.Unlock()
	l, err := d.w.Attach(context.Background(), Attach{Key: d.key, Device: presence.Web, Session: session, Ack: ack, Conn: d})
	if err != nil {
		d.t.Fatalf("attach: %v", err)
	}
	d.mu.Lock()
	d.link = l
	d.mu.Unlock()
}

// again comes back after a lost connection, as a client that resumes.
func (d *device) again() {
	d.t.Helper()
	d.mu.Lock()
	session, last := d.welcomes[len(d.welcomes)-1].Session, d.receiver.Last()
	d.mu.Unlock()
	d.attach(session, last)
}

func (d *device) Welcome(a Attached) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.welcomes); n == 0 || d.welcomes[n-1].Session != a.Session {
		d.receiver = trouter.Receiver{}
		d.receiver.Open(trouter.MaxWindow)
	}
	d.welcomes = append(d.welcomes, a)
}

func (d *device) SendBatch(seq uint64, updates []*Update) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.batches++
	if d.deaf {
		return
	}
	d.heard = d.w.clock.now()
	if !d.receiver.Batch(seq, d.heard) {
		d.acknowledge()
		return
	}
	for _, u := range updates {
		if u.Version <= d.versions[u.Publisher] {
			d.stale++
			if u.Version < d.versions[u.Publisher] {
				d.regressions++
			}
			continue
		}
		d.versions[u.Publisher], d.states[u.Publisher] = u.Version, u.State
		d.history = append(d.history, u.State)
		d.items++
	}
	d.acknowledge()
}

func (d *device) acknowledge() {
	seq := d.receiver.Ack()
	link, lag := d.link, d.lag
	go func() {
		if lag > 0 {
			time.Sleep(lag)
		}
		if link != nil {
			_ = link.Ack(seq) // refused only when the endpoint is over
		}
	}()
}

func (d *device) Answer(id uint64, a Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers[id] = a
}

func (d *device) Flush() {}

func (d *device) Ping() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pings++
	if !d.deaf {
		d.heard = d.w.clock.now()
	}
}

func (d *device) LastHeard() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.heard
}

func (d *device) Move(h Hint) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hints = append(d.hints, h)
}

func (d *device) Close(r CloseReason) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = r
}

func (d *device) get(u presence.UserID) (presence.State, presence.Version) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.states[u], d.versions[u]
}

func (d *device) count() (batches, items, stale int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.batches, d.items, d.stale
}

func (d *device) reason() CloseReason {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

func (d *device) welcome() Attached {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.welcomes[len(d.welcomes)-1]
}

func (d *device) setDeaf(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaf = on
}

// watch changes the list and waits for the answer.
func (d *device) watch(c WatchChange) Answer {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	a, err := d.link.WatchWait(ctx, c)
	if err != nil {
		d.t.Fatalf("watch: %v", err)
	}
	return a
}

func (d *device) add(users ...presence.UserID) Answer {
	d.t.Helper()
	return d.watch(WatchChange{Add: users})
}

// sees waits until the device shows a user so.
func (d *device) sees(u presence.UserID, a presence.Availability, act presence.Activity) {
	d.t.Helper()
	eventually(d.t, u.MRI+" is seen as "+a.String()+"/"+act.String(), func() bool {
		s, v := d.get(u)
		return v != 0 && s.Availability == a && s.Activity == act
	})
}
