package cluster

import (
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/wheel"
)

const (
	callShards = 64
	maxCalls   = 16_384 // per shard
)

// calls is the table of requests of this node that wait for an answer.
type calls struct {
	host   *Node
	shards [callShards]callShard
}

type callShard struct {
	mu      sync.Mutex
	next    uint64
	waiting map[uint64]*call
	closed  bool
}

type call struct {
	calls  *calls
	id     uint64
	done   func(any, error)
	parcel *parcel
	timer  wheel.Timer
}

// Fire ends a call that nobody answered in time.
func (w *call) Fire(*wheel.Timer, time.Time) { w.calls.finish(w.id, nil, ErrTimeout) }

func (c *calls) start(host *Node) {
	c.host = host
	for i := range c.shards {
		c.shards[i].waiting = map[uint64]*call{}
	}
}

// add registers a call, until its message's time is over; its id never repeats
// in the life of the process.
func (c *calls) add(done func(any, error), p *parcel) (uint64, error) {
	n := c.host.plain.Add(1) % callShards
	s := &c.shards[n]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	if len(s.waiting) >= maxCalls {
		return 0, ErrOverloaded
	}
	s.next++
	id := s.next*callShards + n
	w := &call{calls: c, id: id, done: done, parcel: p}
	w.timer.Target = w
	s.waiting[id] = w
	c.host.Wheel.Schedule(&w.timer, p.until)
	return id, nil
}

// finish ends a call; the second and later answers find nothing.
func (c *calls) finish(id uint64, msg any, err error) {
	s := &c.shards[id%callShards]
	s.mu.Lock()
	w := s.waiting[id]
	delete(s.waiting, id)
	s.mu.Unlock()
	if w == nil {
		return
	}
	c.host.Wheel.Stop(&w.timer)
	w.done(msg, err)
}

func (c *calls) close() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.closed = true
		waiting := s.waiting
		s.waiting = map[uint64]*call{}
		s.mu.Unlock()
		for _, w := range waiting {
			c.host.Wheel.Stop(&w.timer)
			w.done(nil, ErrClosed)
		}
	}
}

// takeBack is what a call asks, which a member has not taken; nil when the call
// has ended, or is with another by now.
func (c *calls) takeBack(id uint64, from string) *parcel {
	s := &c.shards[id%callShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.waiting[id]; w != nil && w.parcel.backFrom(from) {
		return w.parcel
	}
	return nil
}

// owns says whether a parcel is what a call of this node asks.
func (c *calls) owns(p *parcel) bool {
	if p.sender == nil || p.sender.Address != callSpace {
		return false
	}
	from, id, err := parseCall(p.sender.Id)
	if err != nil || from != c.host.Name {
		return false
	}
	s := &c.shards[id%callShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.waiting[id]
	return w != nil && w.parcel == p
}

// carryOn makes p what is under way for the call that its answer is for, if that
// is one of this node. It is false when nobody waits for the answer any more.
func (c *calls) carryOn(p *parcel) bool {
	if p.sender == nil || p.sender.Address != callSpace {
		return true
	}
	from, id, err := parseCall(p.sender.Id)
	if err != nil || from != c.host.Name {
		return err == nil
	}
	s := &c.shards[id%callShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.waiting[id]
	if w != nil {
		p.until = w.parcel.until
		w.parcel = p
	}
	return w != nil
}

// gone sends again what was asked of members that are no more. What was asked
// of the members themselves nobody else can answer.
func (c *calls) gone(ids map[string]bool) {
	for i := range c.shards {
		s := &c.shards[i]
		again := map[uint64]*parcel{}
		s.mu.Lock()
		for id, w := range s.waiting {
			if at := w.parcel.at.Load(); at != nil && ids[*at] && w.parcel.back() {
				again[id] = w.parcel
			}
		}
		s.mu.Unlock()
		for id, p := range again {
			if p.node != "" {
				c.finish(id, nil, ErrMoved)
				continue
			}
			c.host.later(p)
		}
	}
}

// elsewhere places again, at once, what was asked of shards of a member that
// does not answer. What was asked of the member itself waits for it.
func (c *calls) elsewhere(member string) {
	for i := range c.shards {
		s := &c.shards[i]
		var again []*parcel
		s.mu.Lock()
		for _, w := range s.waiting {
			if p := w.parcel; p.node == "" && !p.handoff && p.backFrom(member) {
				again = append(again, p)
			}
		}
		s.mu.Unlock()
		for _, p := range again {
			if err := c.host.place(p); err != nil {
				c.host.fail(p, err)
			}
		}
	}
}

// answers is the process behind the PID of any call. An answer for another
// node's call goes to that node.
type answers Node

func (a *answers) SendUserMessage(pid *actor.PID, envelope any) {
	n := (*Node)(a)
	_, msg, _ := actor.UnwrapEnvelope(envelope)
	from, id, err := parseCall(pid.Id)
	if err != nil {
		n.metrics.dropped.Inc()
		return
	}
	if from == n.Name {
		n.answered(id, msg)
		return
	}
	p := &parcel{msg: msg, caller: from, call: id}
	if err := n.place(p); err != nil {
		n.fail(p, err)
	}
}

// answered ends a call; a bare Status is a refusal.
func (n *Node) answered(id uint64, msg any) {
	if refusal, ok := msg.(*messages.Status); ok {
		n.calls.finish(id, nil, refusal.Err())
		return
	}
	n.calls.finish(id, msg, nil)
}

// answer sends an answer to the member process that asked. One that is no more
// needs none; one that is not known yet may have asked by way of another node.
func (n *Node) answer(p *parcel) error {
	id := topology.NodeOf(p.caller)
	if to, ok := n.Table().Member(id); ok && to.Name() != p.caller {
		return ErrMoved
	}
	return n.forward(id, p)
}

func (a *answers) SendSystemMessage(*actor.PID, any) { a.metrics.dropped.Inc() }
func (a *answers) Stop(*actor.PID)                   { a.metrics.dropped.Inc() }

// Waiting is how many requests of this node wait for an answer.
func (n *Node) Waiting() (waiting int) {
	for i := range n.calls.shards {
		s := &n.calls.shards[i]
		s.mu.Lock()
		waiting += len(s.waiting)
		s.mu.Unlock()
	}
	return waiting
}
