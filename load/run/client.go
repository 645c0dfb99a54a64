package run

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"rollcall/load/measure"
	"rollcall/load/population"
	"rollcall/load/socket"
	"rollcall/messages"
	"rollcall/trouter"
	"rollcall/wheel"
)

// stage is how far a device has come.
type stage uint8

const (
	absent   stage = iota // not logged in, or logged out
	away                  // waits until it may try again
	dialling              // waits for a connector, or for the handshake
	greeted               // has said hello
	watching              // knows the node; waits for what it watches
	ready
)

// slowness is how a device fails to keep up.
type slowness uint8

const (
	prompt  slowness = iota
	silent           // reads, does not acknowledge any more once it is ready
	stopped          // stops reading once it is ready
)

// client is one device with at most one connection.
type client struct {
	run    *Run
	index  int32 // in People.Devices
	user   int32
	first  bool // the user's first device, which publishes
	slow   slowness
	list   []int32 // whom it watches, rising
	redial wheel.Timer
	ackDue wheel.Timer

	mu       sync.Mutex
	stage    stage
	conn     *socket.Conn
	try      time.Time // when it was to connect
	wasReady bool      // it was ready before
	ours     bool      // the connection was dropped by us
	lost     time.Time
	tries    int
	since    time.Time // of this connection's welcome
	state    population.State
	session  string
	rx       trouter.Receiver
	lastAck  time.Time
	have     []uint64 // versions, by place in list
	fresh    []uint64 // bits: seen in this session
	expects  int      // snapshots to come
}

func newClient(r *Run, index int32) *client {
	d := r.cfg.People.Devices[index]
	c := &client{
		run: r, index: index, user: d.User, first: d.Kind == population.Desktop,
		list: r.cfg.People.Watches[d.User],
	}
	c.have = make([]uint64, len(c.list))
	c.fresh = make([]uint64, (len(c.list)+63)/64)
	c.redial.Target, c.ackDue.Target = c, c
	return c
}

// Fire is a timer's: somebody else does what is due, of wheel.Target.
func (c *client) Fire(t *wheel.Timer, _ time.Time) {
	if t == &c.redial {
		c.mu.Lock()
		wanted := c.stage == away
		if wanted {
			c.stage = dialling
		}
		c.mu.Unlock()
		if wanted {
			c.run.dials <- c // has room for all
		}
		return
	}
	c.run.acks <- c // has room for all, and c is armed once
}

// login connects the device for the first time, with what its user shows.
func (c *client) login(due time.Time, s population.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage != absent {
		return
	}
	c.stage, c.try, c.state, c.ours = dialling, due, s, false
	c.run.dials <- c // has room for all
}

// logout leaves for good.
func (c *client) logout() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.sendLocked(&messages.ClientFrame{Frame: &messages.ClientFrame_Bye{Bye: &messages.Bye{}}})
	}
	c.hang(absent)
	c.session, c.wasReady = "", false
	for c.first { // nobody will answer for it
		was, next, ok := c.run.ledger.Refused(c.user)
		if ok {
			c.run.release(was)
		}
		if next == nil {
			break
		}
		c.run.recorder.Add(measure.Unsent, 1)
	}
}

// leave is logout at the end of a run: nothing is said.
func (c *client) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hang(absent)
}

// drop loses the connection and tries again at a moment.
func (c *client) drop(again time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return
	}
	c.hang(away)
	c.ours, c.try, c.lost, c.tries = true, again, time.Now(), 0
	c.run.wheel.Schedule(&c.redial, again)
}

// hang closes the connection, if there is one; c.mu is held.
func (c *client) hang(to stage) {
	if c.stage == ready {
		c.run.connected.Add(-1)
	}
	c.stage = to
	if c.conn != nil {
		_ = c.conn.Close() // nothing is expected of it any more
		c.conn = nil
	}
	c.run.wheel.Stop(&c.ackDue)
	c.run.wheel.Stop(&c.redial)
}

const (
	dialTime   = 20 * time.Second
	minBackoff = time.Second
	maxBackoff = 30 * time.Second
)

// dial makes a connection and says hello.
func (c *client) dial(ctx context.Context) {
	r := c.run
	token, err := r.cfg.Identity.Token(ctx, c.user)
	var conn *socket.Conn
	if err == nil {
		c.mu.Lock()
		tries := c.tries
		c.mu.Unlock()
		dialling, cancel := context.WithTimeout(ctx, dialTime)
		conn, err = socket.Dial(dialling, r.target(c.index, tries), r.source(c.index))
		cancel()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed(err)
		return
	}
	if c.stage != dialling || ctx.Err() != nil {
		_ = conn.Close() // no longer wanted
		return
	}
	c.conn, c.stage = conn, greeted
	hello := &messages.Hello{Token: token, Endpoint: c.endpoint(), Device: r.cfg.People.Devices[c.index].Kind.String()}
	if c.session != "" {
		hello.Session, hello.Ack = c.session, c.rx.Last()
	}
	c.sendLocked(&messages.ClientFrame{Frame: &messages.ClientFrame_Hello{Hello: hello}})
	r.wg.Go(func() { c.read(conn) })
}

// endpoint tells a user's devices apart.
func (c *client) endpoint() string {
	return "load-" + c.run.cfg.People.Devices[c.index].Kind.String()
}

// failed counts an attempt and waits for the next; c.mu is held.
func (c *client) failed(err error) {
	if c.run.ctx.Err() != nil || c.stage == absent {
		return
	}
	c.run.recorder.Deny(measure.FailedConnects, code(err))
	c.again(retryAfter(err))
}

// again waits for another attempt: as long as it was told, else as clients do;
// c.mu is held.
func (c *client) again(told time.Duration) {
	c.hang(away)
	most := min(minBackoff<<min(c.tries, 10), maxBackoff)
	c.tries++
	wait := time.Duration(rand.Int64N(int64(most))) // not part of the plan: it depends on the node
	c.run.wheel.Schedule(&c.redial, time.Now().Add(max(wait, told)))
}

// sendLocked writes a frame; c.mu is held. A failed write is found by the reader.
func (c *client) sendLocked(f *messages.ClientFrame) {
	b, err := f.MarshalVT()
	if err == nil && c.conn != nil {
		_ = c.conn.Send(b) // the reader will know
	}
}

// read takes what comes until the connection ends.
func (c *client) read(conn *socket.Conn) {
	defer func() { _ = conn.Close() }() // it has ended
	for {
		m, err := conn.Read()
		if err != nil {
			c.ended(conn, err)
			return
		}
		c.mu.Lock()
		mine := c.conn == conn
		if mine {
			err = c.take(m, time.Now())
		}
		halt := c.slow == stopped && c.stage == ready
		c.mu.Unlock()
		switch {
		case !mine:
			return
		case err != nil:
			c.ended(conn, err)
			return
		case halt:
			<-c.run.ctx.Done() // does not read any more
			return
		}
	}
}

// ended says that the other side, or an error, has ended the connection.
func (c *client) ended(conn *socket.Conn, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run.recorder.Add(measure.BytesIn, conn.Received())
	if c.conn != conn || c.run.ctx.Err() != nil {
		return // we did, and know
	}
	now := time.Now()
	c.run.recorder.Deny(measure.Disconnected, code(err))
	c.ours, c.lost, c.try = false, now, now
	c.again(retryAfter(err))
}

// place is where a user is in the device's list.
func (c *client) place(user int32) (int, bool) { return slices.BinarySearch(c.list, user) }
