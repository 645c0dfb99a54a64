package cluster

import (
	"math/rand"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// passer is an actor that passivates whenever it can, every tenth message.
type passer struct {
	mailbox *Mailbox
	live    *atomic.Int32 // activations of this address alive now
	handled *atomic.Int64
	twice   *atomic.Int64
	last    []int // newest sequence per sender
	n       int
}

type numbered struct{ sender, seq int }

func (p *passer) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		if p.live.Add(1) > 1 {
			p.twice.Add(1)
		}
	case numbered:
		p.handled.Add(1)
		if m.seq <= p.last[m.sender] {
			p.twice.Add(1)
		}
		p.last[m.sender] = m.seq
		if p.n++; p.n%10 == 0 {
			p.live.Add(-1)
			if !p.mailbox.CloseIfEmpty() {
				p.live.Add(1)
			}
		}
	}
}

// A million messages to a thousand actors that passivate all the time: each is
// handled, by one activation at a time, in the order its sender sent it.
func TestPassivationLosesNothing(t *testing.T) {
	const actors, senders = 1000, 4
	each := 250_000
	if testing.Short() {
		each = 25_000
	}
	var handled, doubled atomic.Int64
	live := make([]atomic.Int32, actors)
	last := make([][]int, actors)
	index := map[string]int{}
	for i := range actors {
		index[userN(i).MRI] = i
		last[i] = []int{-1, -1, -1, -1}
	}
	n := startNode(t, "a", map[Kind]Spawn{UserKind: func(a Address, m *Mailbox) actor.Actor {
		i := index[a.ID.MRI]
		return &passer{mailbox: m, live: &live[i], handled: &handled, twice: &doubled, last: last[i]}
	}})
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			r := rand.New(rand.NewSource(int64(s)))
			for i := range each {
				for n.Tell(User(userN(r.Intn(actors))), numbered{s, i}) != nil {
					runtime.Gosched() // full: wait for the actor
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "every message is handled", func() bool { return handled.Load() == int64(senders*each) })
	if doubled.Load() != 0 {
		t.Errorf("%d times two activations were alive or an order was broken", doubled.Load())
	}
	if n.dir.gen.Load() < actors*5/4 {
		t.Errorf("%d activations: the actors hardly ever passivated", n.dir.gen.Load())
	}
	t.Logf("%d messages, %d activations", handled.Load(), n.dir.gen.Load())
}

// busy passivates only when it is told that it is idle.
type busy struct {
	mailbox *Mailbox
	idle    *atomic.Int64
}

func (b *busy) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(Idle); ok {
		b.idle.Add(1)
		b.mailbox.CloseIfEmpty()
	}
}

func TestSweepFindsIdleActors(t *testing.T) {
	var idle atomic.Int64
	n := startNode(t, "a", map[Kind]Spawn{UserKind: func(_ Address, m *Mailbox) actor.Actor {
		return &busy{m, &idle}
	}})
	a := User(userN(1))
	if err := n.Tell(a, "hello"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mailbox is empty", func() bool { return n.dir.slot(a).list()[0].UserMessageCount() == 0 })
	sweep := func() {
		for _, m := range n.dir.slot(a).list() {
			m.sweep()
		}
	}
	sweep() // was used since the last sweep
	if n.dir.count() != 1 || idle.Load() != 0 {
		t.Fatal("an actor that was just used was asked to passivate")
	}
	sweep()
	eventually(t, "the idle actor has passivated", func() bool { return n.dir.count() == 0 })
}
