package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"rollcall/cluster/topology"
	"rollcall/messages"
)

// rows are what a node has stored: the numbers of the publishes of every
// address. To merge two is to unite them.
type rows map[Address]map[uint64]bool

// counted stores the numbers of Publishes, and moves by Adopt.
type counted struct {
	node *testNode
	addr Address
	box  *Mailbox
	rest []any
	busy bool
}

type leave struct{ done chan error }

var errEnded = errors.New("the activation has ended")

type left struct {
	leave
	ids []uint64
	err error
}

func (c *counted) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case actor.SystemMessage:
	case left:
		c.node.remove(c.addr, m.ids)
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
		ids := c.node.add(c.addr)
		c.node.HandOver(c.addr, adopt(ids), time.Second, func(_ any, err error) {
			l := left{m, ids, err}
			if err != nil {
				l.ids = nil
			}
			c.box.PostOwn(l)
		})
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
		n := len(c.node.add(c.addr, m.Id))
		ctx.Respond(&messages.Published{Version: uint64(n), Error: &messages.Status{Code: c.node.ID}})
	case *messages.Adopt:
		for _, h := range m.Hosts {
			id, err := strconv.ParseUint(h.Endpoint, 10, 64)
			if err != nil {
				panic(err)
			}
			c.node.add(c.addr, id)
		}
		ctx.Respond(&messages.Adopted{})
	case Idle:
		c.box.CloseIfEmpty()
	}
}

func adopt(ids []uint64) *messages.Adopt {
	a := &messages.Adopt{}
	for _, id := range ids {
		a.Hosts = append(a.Hosts, &messages.Host{Endpoint: strconv.FormatUint(id, 10)})
	}
	return a
}

// add stores numbers and returns all of the address.
func (n *testNode) add(a Address, ids ...uint64) []uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(ids) > 0 && n.rows[a] == nil {
		n.rows[a] = map[uint64]bool{}
	}
	for _, id := range ids {
		n.rows[a][id] = true
	}
	return slices.Collect(maps.Keys(n.rows[a]))
}

// remove forgets numbers that another node has now.
func (n *testNode) remove(a Address, ids []uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range ids {
		delete(n.rows[a], id)
	}
	if len(n.rows[a]) == 0 {
		delete(n.rows, a)
	}
}

func (n *testNode) holds() (s topology.Set) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for a := range n.rows {
		s.Add(a.Shard())
	}
	return s
}

func (n *testNode) yield(ctx context.Context, shard uint16, active []*Mailbox) (users int, err error) {
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
	for _, a := range n.stored(shard) {
		done := make(chan error, 1)
		ids := n.add(a)
		n.HandOver(a, adopt(ids), time.Second, func(_ any, err error) { done <- err })
		if err := <-done; err != nil {
			return users, err
		}
		n.remove(a, ids)
		users++
	}
	return users, nil
}

func (n *testNode) stored(shard uint16) (list []Address) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for a := range n.rows {
		if a.Shard() == shard {
			list = append(list, a)
		}
	}
	return list
}
