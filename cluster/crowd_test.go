package cluster

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"rollcall/messages"
)

// counted knows the numbers of all Publishes of its address: those that it has
// handled, those that a former owner hands over by Adopt, and those that a
// passive one knew. The latter any node can read, as copies are.
type counted struct {
	node  *testNode
	addr  Address
	box   *Mailbox
	known map[uint64]bool
	rest  []any
	busy  bool
}

func newCounted(n *testNode, a Address, m *Mailbox) *counted {
	w := n.net
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &counted{node: n, addr: a, box: m, known: map[uint64]bool{}}
	maps.Copy(c.known, w.rested[a])
	return c
}

type leave struct{ done chan error }

var errEnded = errors.New("the activation has ended")

type left struct {
	leave
	err error
}

func (c *counted) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case actor.SystemMessage:
	case left:
		c.busy = false
		switch {
		case m.err == nil:
			c.box.Leave(c.rest)
		default:
			for _, r := range c.rest {
				e := r.(*actor.MessageEnvelope)
				ctx.Send(e.Sender, messages.StatusOf(ErrOverloaded))
			}
			c.rest = nil
		}
		m.done <- m.err
	case leave:
		if c.busy {
			m.done <- errEnded
			return
		}
		c.busy = true
		c.node.HandOver(c.addr, adopt(c.known), time.Second, func(_ any, err error) { c.box.PostOwn(left{m, err}) })
	default:
		if c.busy {
			c.rest = append(c.rest, &actor.MessageEnvelope{Message: m, Sender: ctx.Sender()})
			return
		}
		c.handle(ctx)
	}
}

func (c *counted) handle(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *messages.Publish:
		c.node.handled.Add(1)
		c.known[m.Id] = true
		c.node.net.store(c.addr, m.Id)
		ctx.Respond(&messages.Published{Version: uint64(len(c.known)), Error: &messages.Status{Code: c.node.ID}})
	case *messages.Adopt:
		for _, h := range m.Hosts {
			id, err := strconv.ParseUint(h.Endpoint, 10, 64)
			if err != nil {
				panic(err)
			}
			c.known[id] = true
		}
		ctx.Respond(&messages.Adopted{})
	case Idle:
		c.node.net.lay(c.addr, c.known)
		c.box.CloseIfEmpty()
	}
}

func adopt(ids map[uint64]bool) *messages.Adopt {
	a := &messages.Adopt{}
	for id := range ids {
		a.Hosts = append(a.Hosts, &messages.Host{Endpoint: strconv.FormatUint(id, 10)})
	}
	return a
}

func (w *network) store(a Address, id uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stored[a] == nil {
		w.stored[a] = map[uint64]bool{}
	}
	w.stored[a][id] = true
}

// lay keeps what an actor knows for the time when it is passive.
func (w *network) lay(a Address, known map[uint64]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rested[a] == nil {
		w.rested[a] = map[uint64]bool{}
	}
	maps.Copy(w.rested[a], known)
}

// count is how many numbers of an address are stored.
func (w *network) count(a Address) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.stored[a])
}

// has says whether a number is stored.
func (w *network) has(a Address, id uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stored[a][id]
}

func (n *testNode) yield(ctx context.Context, _ uint16, active []*Mailbox) (users int, err error) {
	if n.block != nil {
		select {
		case <-n.block:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	for _, m := range active {
		done := make(chan error, 1)
		m.PostOwn(leave{done})
		for waits := true; waits; {
			select {
			case err := <-done:
				if err != nil {
					return users, err
				}
				users++
				waits = false
			case <-time.After(50 * time.Millisecond):
				waits = !m.Closed()
			case <-ctx.Done():
				return users, ctx.Err()
			}
		}
	}
	return users, nil
}
