package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rollcall/messages"
)

// maxCalls bounds the requests that wait for an answer.
const maxCalls = 256

// call is a request on its way. It stays until it is answered and is sent again
// over each new connection, in the order in which the calls were made.
type call struct {
	id    uint64 // 0: no answer is wanted
	frame *messages.ClientFrame
	sent  bool      // over the present connection
	link  bool      // made by this package, for the present connection only
	after time.Time // not to be sent before
	wish  []string  // users that a watch has newly put on the list
	syncs bool      // the last of those that tell the node the whole list
	done  chan answer
}

type answer struct {
	done *messages.Done
	err  error
}

// do makes a request and waits for its answer.
func (c *Client) do(ctx context.Context, f *messages.ClientFrame) (*messages.Done, error) {
	k := &call{frame: f}
	if err := c.enqueue(k); err != nil {
		return nil, err
	}
	a, err := c.await(ctx, k)
	if err != nil {
		c.abandon(k)
		return nil, err
	}
	return a.done, a.err
}

// enqueue gives a call its number and its turn.
func (c *Client) enqueue(k *call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.add(k)
}

// add is enqueue for those who hold c.mu.
func (c *Client) add(k *call) error {
	if c.state.Status == Ended {
		return c.ended()
	}
	if len(c.calls) >= maxCalls && !k.link {
		return messages.ErrOverloaded.With("too many requests are waiting for the node, try again shortly")
	}
	c.lastCall++
	k.id, k.frame.Id = c.lastCall, c.lastCall
	k.done = make(chan answer, 1)
	c.calls = append(c.calls, k)
	nudge(c.wake)
	return nil
}

// ended is what calls return after the end; c.mu is held.
func (c *Client) ended() error {
	if err := c.state.Err; err != nil {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return ErrClosed
}

func (c *Client) await(ctx context.Context, k *call) (answer, error) {
	select {
	case a := <-k.done:
		return a, nil
	case <-ctx.Done():
	}
	s := c.State()
	if s.Err != nil {
		return answer{}, fmt.Errorf("no answer while %s (%w): %w", s.Status, s.Err, ctx.Err())
	}
	return answer{}, fmt.Errorf("no answer while %s: %w", s.Status, ctx.Err())
}

// abandon forgets a call that nobody waits for. If it was sent its answer will
// find no taker.
func (c *Client) abandon(k *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = slices.DeleteFunc(c.calls, func(x *call) bool { return x == k })
}

// answered settles the call with this number; c.mu is held.
func (c *Client) answered(id uint64, a answer, now time.Time) {
	i := slices.IndexFunc(c.calls, func(k *call) bool { return k.id == id && k.sent })
	if i < 0 {
		return
	}
	k := c.calls[i]
	if k.link && c.again(k, a.err, now) {
		return
	}
	c.calls = slices.Delete(c.calls, i, i+1)
	c.settle(k, &a)
	k.done <- a
}

// again puts off a request of this package's own that the node cannot serve
// just now.
func (c *Client) again(k *call, err error, now time.Time) bool {
	var e *Error
	if !errors.As(err, &e) || e.RetryAfter <= 0 {
		if err != nil {
			c.cfg.Log.Warn("a request of the client itself was refused", "error", err)
		}
		return false
	}
	k.sent, k.after = false, now.Add(e.RetryAfter)
	return true
}

// settle draws the consequences of an answer for what the client remembers.
func (c *Client) settle(k *call, a *answer) {
	switch f := k.frame.Frame.(type) {
	case *messages.ClientFrame_Publish:
		if a.err == nil && f.Publish.Source == "client" {
			c.device = f.Publish
			if f.Publish.Clear {
				c.device = nil
			}
		}
	case *messages.ClientFrame_Watch:
		if a.err != nil {
			c.forget(k.wish)
			return
		}
		c.session.synced = c.session.synced || k.syncs
		c.session.inherits = c.session.inherits && !f.Watch.Replace
		c.forget(a.done.Refused)
		if refused := a.done.Refused; len(refused) > 0 {
			a.err = &Refused{refused}
		}
	}
}

// failAll ends every waiting call; c.mu is held.
func (c *Client) failAll() {
	for _, k := range c.calls {
		if k.done != nil {
			k.done <- answer{err: c.ended()}
		}
	}
	c.calls = nil
}

// nextCall is the oldest call that has still to be sent, and otherwise when one
// that was put off has its turn; c.mu is held.
func (c *Client) nextCall(now time.Time) (next *call, later time.Time) {
	for _, k := range c.calls {
		if k.sent {
			continue
		}
		if !k.after.After(now) {
			return k, time.Time{}
		}
		if later.IsZero() || k.after.Before(later) {
			later = k.after
		}
	}
	return nil, later
}
