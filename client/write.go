package client

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coder/websocket"

	"rollcall/limit"
	"rollcall/messages"
)

// Somewhat less than the node allows a connection, which is 120 frames a minute
// and 20 acknowledgements a second.
var (
	frameRate = limit.Rate{Count: 100, Per: time.Minute, Burst: 20}
	ackRate   = limit.Rate{Count: 18, Per: time.Second, Burst: 9}
)

// graceLeft is what a connection may be lost for without the device's session
// ending on the node, with something to spare.
const graceLeft = 10 * time.Second

// writeAll sends whatever is due until the connection or the client ends.
func (l *link) writeAll() {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		b, wait, err := l.next(time.Now())
		if err == nil && b != nil {
			err = l.write(l.ctx, b)
		}
		switch {
		case errors.Is(err, ErrSilent):
			l.cancel(err)
			return
		case err != nil:
			l.broken(err)
			return
		case b != nil:
			continue
		}
		t.Reset(wait)
		select {
		case <-t.C:
		case <-l.c.wake:
		case <-l.ctx.Done():
			return
		case <-l.c.ctx.Done():
			l.close(websocket.StatusNormalClosure, "")
			return
		}
	}
}

// broken follows a failed write. Why the node closed the connection may still be
// on its way to the reader, which is given a moment.
func (l *link) broken(err error) {
	t := time.NewTimer(closing)
	defer t.Stop()
	select {
	case <-t.C:
		l.cancel(l.lost(err))
	case <-l.ctx.Done():
	}
}

// next is the message to send now. Without one it is how long nothing will be
// due unless something happens. ErrSilent means that the node is gone.
func (l *link) next(now time.Time) ([]byte, time.Duration, error) {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	wake := l.heard.Add(2 * l.ping)
	if !now.Before(wake) {
		return nil, 0, ErrSilent
	}
	for _, source := range []func(time.Time) ([]byte, time.Time, error){l.nextAck, l.nextRequest, l.nextPing} {
		b, due, err := source(now)
		if b != nil || err != nil {
			return b, 0, err
		}
		if !due.IsZero() && due.Before(wake) {
			wake = due
		}
	}
	return nil, max(wake.Sub(now), time.Millisecond), nil
}

// nextAck, nextRequest and nextPing each give a message that is due, or when one
// will be; the zero time is never. c.mu is held.
func (l *link) nextAck(now time.Time) ([]byte, time.Time, error) {
	r := &l.c.session.receiver
	due, owed := r.AckDue()
	if !owed || due.After(now) {
		return nil, due, nil
	}
	if ok, wait := l.acks.Take(now, ackRate); !ok {
		return nil, now.Add(wait), nil
	}
	b, err := l.c.codec.encode(&messages.ClientFrame{Frame: &messages.ClientFrame_Ack{Ack: &messages.Ack{Seq: r.Ack()}}})
	return b, now, err
}

func (l *link) nextRequest(now time.Time) ([]byte, time.Time, error) {
	c := l.c
	for {
		k, later := c.nextCall(now)
		if k == nil {
			return nil, later, nil
		}
		b, err := c.codec.encode(k.frame)
		if err != nil {
			return nil, now, err
		}
		if len(b) > l.most {
			c.answered(k.sending(), answer{err: tooLarge(len(b), l.most)}, now)
			continue
		}
		if ok, wait := l.frames.Take(now, frameRate); !ok {
			return nil, now.Add(wait), nil
		}
		if k.sending() == 0 {
			c.calls = slices.DeleteFunc(c.calls, func(x *call) bool { return x == k })
		}
		return b, now, nil
	}
}

// nextPing asks for a sign of life when the node's own is overdue.
func (l *link) nextPing(now time.Time) ([]byte, time.Time, error) {
	due := l.heard.Add(l.ping * 5 / 4)
	if l.pinged {
		return nil, time.Time{}, nil
	}
	if due.After(now) {
		return nil, due, nil
	}
	l.pinged = true
	b, err := l.c.codec.encode(&messages.ClientFrame{Frame: &messages.ClientFrame_Ping{Ping: &messages.Ping{}}})
	return b, now, err
}

// sending marks a call as sent and returns its number.
func (k *call) sending() uint64 {
	k.sent = true
	return k.id
}

func tooLarge(size, most int) *Error {
	return &Error{Code: "too_large", Text: fmt.Sprintf("the request takes %d bytes and the node takes %d, send less at once", size, most)}
}

// repeat makes everything unanswered due again on a new connection, after what
// the node may have lost: the list of watched users and, with device, the
// device's state; c.mu is held.
func (c *Client) repeat(device bool) {
	c.calls = slices.DeleteFunc(c.calls, func(k *call) bool { return k.link })
	for _, k := range c.calls {
		k.sent = false
	}
	waiting := c.calls
	c.calls = nil
	if !c.session.synced {
		c.sync(waiting)
	}
	if device && c.device != nil {
		_ = c.add(c.deviceCall()) // own requests are always taken
	}
	c.calls = append(c.calls, waiting...)
}

// sync tells the node the list, but for what waiting calls are about to tell. The
// first of the frames replaces what an earlier process has left there under the
// same endpoint id; c.mu is held.
func (c *Client) sync(waiting []*call) {
	told := map[string]bool{}
	for _, k := range waiting {
		for _, u := range k.wish {
			told[u] = true
		}
	}
	users := make([]string, 0, len(c.watched))
	for u := range c.watched {
		if !told[u] {
			users = append(users, u)
		}
	}
	slices.Sort(users)
	all := parts(users)
	if len(all) == 0 && c.session.inherits {
		all = [][]string{nil}
	}
	c.session.synced = len(all) == 0
	for i, part := range all {
		f := watchFrame(&messages.WatchRequest{Add: part, Replace: i == 0 && c.session.inherits})
		_ = c.add(&call{frame: f, link: true, syncs: i == len(all)-1}) // own requests are always taken
	}
}

func (c *Client) deviceCall() *call {
	return &call{link: true, frame: &messages.ClientFrame{
		Frame: &messages.ClientFrame_Publish{Publish: c.device},
	}}
}
