package run

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"rollcall/load/measure"
	"rollcall/load/socket"
	"rollcall/messages"
)

// Numbers of requests: a device has one of each kind under way.
const (
	watchID   = 1
	publishID = 2
)

// take handles a message; c.mu is held. An error ends the connection.
func (c *client) take(m []byte, now time.Time) error {
	b, isBatch, f, err := socket.Decode(m)
	switch {
	case err != nil:
		return err
	case isBatch:
		return c.onBatch(b, now)
	}
	switch x := f.Frame.(type) {
	case *messages.ServerFrame_Welcome:
		c.onWelcome(x.Welcome, now)
	case *messages.ServerFrame_Done:
		c.onDone(f.Id, x.Done, now)
	case *messages.ServerFrame_Error:
		c.onError(f.Id, x.Error)
	}
	return nil
}

// onWelcome goes on with a session or starts over.
func (c *client) onWelcome(w *messages.Welcome, now time.Time) {
	r := c.run
	c.since, c.tries = now, 0
	known := c.session != ""
	c.session = w.Session
	if w.Resumed {
		c.rx.Ack() // the hello has said it
		r.recorder.Add(measure.Resumes, 1)
		r.recorder.Record(measure.Resumed, c.index, now.Sub(c.try))
		if c.expects == 0 {
			c.arrived(now)
			return
		}
		c.stage = watching
		return
	}
	if known {
		r.recorder.Add(measure.Snapshots, 1)
	}
	c.rx.Reset(0)
	clear(c.fresh)
	c.stage, c.expects = watching, len(c.list)
	if int(w.Watching) != len(c.list) {
		for _, f := range c.watchFrames() {
			c.sendLocked(f)
		}
	}
	if c.expects == 0 {
		c.arrived(now)
	}
}

// A watch frame holds at most this much: the node takes 200 users in 16 KiB.
const (
	watchUsers = 200
	watchBytes = 12 << 10
)

func (c *client) watchFrames() (frames []*messages.ClientFrame) {
	users := c.run.cfg.Identity.Users()
	tenant := users[c.user].Tenant
	part, size := &messages.WatchRequest{Replace: true}, 0
	flush := func() {
		frames = append(frames, &messages.ClientFrame{Id: watchID, Frame: &messages.ClientFrame_Watch{Watch: part}})
		part, size = &messages.WatchRequest{}, 0
	}
	for _, u := range c.list {
		name := users[u].Seen(tenant)
		if len(part.Add) == watchUsers || size+len(name) > watchBytes {
			flush()
		}
		part.Add = append(part.Add, name)
		size += len(name) + 3
	}
	if len(part.Add) > 0 {
		flush()
	}
	return frames
}

// graceLeft is what a device may be away for without its session ending on the
// node, with something to spare.
const graceLeft = 10 * time.Second

// arrived is when the device knows all that it watches; c.mu is held.
func (c *client) arrived(now time.Time) {
	r := c.run
	c.stage = ready
	r.connected.Add(1)
	r.recorder.Add(measure.Connected, 1)
	again := c.wasReady
	if !again {
		c.wasReady = true
		r.recorder.Record(measure.Ready, c.index, now.Sub(c.try))
	}
	if !c.first || c.slow == stopped { // it would never read the answer
		return
	}
	if c.ours {
		r.ledger.Postpone(c.user, now)
	}
	if p, open := r.ledger.Open(c.user); open {
		c.sendPublish(p)
		return
	}
	if !again || now.Sub(c.lost) > graceLeft {
		c.publishLocked(measure.Publish{Due: now, State: c.state})
	}
}

// publish sends what is due, or lets it wait for what is under way. False: it
// was given up.
func (c *client) publish(p measure.Publish) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.publishLocked(p)
}

func (c *client) publishLocked(p measure.Publish) bool {
	switch {
	case c.slow == stopped:
		return false
	case c.stage == absent:
		c.run.recorder.Add(measure.Unsent, 1)
		return false
	}
	send, dropped := c.run.ledger.Begin(c.user, p)
	switch {
	case dropped:
		c.run.recorder.Add(measure.Unsent, 1)
	case send && c.stage == ready:
		c.sendPublish(p)
	}
	return !dropped
}

func (c *client) sendPublish(p measure.Publish) {
	c.state = p.State
	c.run.recorder.Add(measure.Published, 1)
	c.sendLocked(&messages.ClientFrame{Id: publishID, Frame: &messages.ClientFrame_Publish{Publish: &messages.SourcePublish{
		Source: "client", Availability: p.State.Availability(), Activity: p.State.Activity(),
	}}})
}

func (c *client) onDone(id uint64, d *messages.Done, now time.Time) {
	r := c.run
	switch id {
	case watchID:
		if n := len(d.Refused); n > 0 {
			for range n {
				r.recorder.Deny(measure.Denied, "watch_refused")
			}
			c.expects -= n
			if c.expects == 0 && c.stage == watching {
				c.arrived(now)
			}
		}
	case publishID:
		was, next, ok := r.ledger.Answered(c.user, d.Version)
		if !ok {
			return
		}
		r.recorder.Add(measure.Answered, 1)
		r.recorder.Record(measure.Acked, c.index, now.Sub(was.Due))
		r.release(was)
		c.follow(next)
	}
}

func (c *client) onError(id uint64, f *messages.Failure) {
	c.run.recorder.Deny(measure.Denied, f.Code)
	if id != publishID {
		return
	}
	if was, next, ok := c.run.ledger.Refused(c.user); ok {
		c.run.release(was)
		c.follow(next)
	}
}

// follow sends the publish that has waited for the one before.
func (c *client) follow(next *measure.Publish) {
	if next != nil {
		c.sendPublish(*next)
	}
}

// onBatch takes a batch once; one that came again only wants its
// acknowledgement.
func (c *client) onBatch(b socket.Batch, now time.Time) error {
	r := c.run.recorder
	r.Add(measure.Batches, 1)
	if c.rx.Batch(b.Seq, now) {
		if err := b.Each(func(it socket.Item) { c.onItem(it, now) }); err != nil {
			return err
		}
	} else {
		r.Add(measure.Resent, 1)
	}
	if c.slow != silent || c.stage != ready {
		c.plan(now)
	}
	return nil
}

// onItem is one user's presence.
func (c *client) onItem(it socket.Item, now time.Time) {
	r := c.run
	u, known := r.names[string(it.User)]
	i, listed := c.place(u)
	if !known || !listed {
		r.recorder.Add(measure.Other, 1)
		return
	}
	had := c.have[i]
	bit := uint64(1) << (i & 63)
	snapshot := c.fresh[i/64]&bit == 0
	c.fresh[i/64] |= bit
	switch {
	case it.Version < had:
		r.recorder.Add(measure.Reordered, 1)
	case it.Version == had && !snapshot:
		r.recorder.Add(measure.Duplicated, 1)
	case it.Version > had:
		c.have[i] = it.Version
		c.time(u, had, it, snapshot, now)
	}
	if snapshot && c.expects > 0 {
		if c.expects--; c.expects == 0 && c.stage == watching {
			c.arrived(now)
		}
	}
}

// time records how long a change took.
func (c *client) time(u int32, had uint64, it socket.Item, snapshot bool, now time.Time) {
	r := c.run
	if snapshot {
		r.ledger.Note(u, it.Version)
		if had > 0 {
			r.recorder.Add(measure.Late, 1)
		}
		return
	}
	s := r.ledger.Seen(u, had, it.Version, it.Availability)
	r.recorder.Add(measure.Delivered, 1)
	r.recorder.Add(measure.Coalesced, int64(s.Skipped))
	switch {
	case s.Due.IsZero():
		r.recorder.Add(measure.Other, 1)
	case s.Due.Before(c.since):
		r.recorder.Add(measure.Late, 1)
	default:
		r.recorder.Record(measure.Received, c.index, now.Sub(s.Due))
	}
}

// ackSpacing keeps below the acknowledgements a second that a node takes for
// free.
const ackSpacing = 55 * time.Millisecond

// plan acknowledges now or arms the timer; c.mu is held.
func (c *client) plan(now time.Time) {
	due, owed := c.rx.AckDue()
	if !owed {
		return
	}
	if earliest := c.lastAck.Add(ackSpacing); due.Before(earliest) {
		due = earliest
	}
	if due.After(now) {
		c.run.wheel.Schedule(&c.ackDue, due)
		return
	}
	c.ackLocked(now)
}

func (c *client) ackLocked(now time.Time) {
	c.run.wheel.Stop(&c.ackDue)
	c.lastAck = now
	c.run.recorder.Add(measure.Acks, 1)
	if c.conn != nil {
		_ = c.conn.Send(socket.AckFrame(nil, c.rx.Ack())) // the reader will know
	}
}

// acknowledge is what the timer was for.
func (c *client) acknowledge(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, owed := c.rx.AckDue(); owed && c.conn != nil {
		c.ackLocked(now)
	}
}

// code names an error for the counts.
func code(err error) string {
	var refused *socket.Refused
	var closed *socket.Closed
	var network net.Error
	switch {
	case errors.As(err, &refused):
		return refused.Code
	case errors.As(err, &closed):
		return fmt.Sprintf("closed_%d", closed.Code)
	case errors.Is(err, socket.ErrFrame), errors.Is(err, socket.ErrLarge):
		return "broken_frame"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection_refused"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "no_free_port"
	case errors.Is(err, syscall.EMFILE):
		return "no_free_descriptor"
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection_lost"
	}
	return "other_error"
}

func retryAfter(err error) time.Duration {
	var refused *socket.Refused
	if errors.As(err, &refused) {
		return refused.RetryAfter
	}
	return 0
}
