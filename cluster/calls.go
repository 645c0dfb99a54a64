package cluster

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

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
	calls *calls
	id    uint64
	done  func(any, error)
	timer wheel.Timer
}

// Fire ends a call that nobody answered in time.
func (w *call) Fire(*wheel.Timer, time.Time) { w.calls.finish(w.id, nil, ErrTimeout) }

func (c *calls) start(host *Node) {
	c.host = host
	for i := range c.shards {
		c.shards[i].waiting = map[uint64]*call{}
	}
}

// add registers a call; its id never repeats in the life of the process.
func (c *calls) add(timeout time.Duration, done func(any, error)) (uint64, error) {
	now := c.host.Now()
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
	w := &call{calls: c, id: id, done: done}
	w.timer.Target = w
	s.waiting[id] = w
	c.host.Wheel.Schedule(&w.timer, now.Add(timeout))
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
	if node, _, _ := strings.Cut(from, "@"); node == n.ID {
		n.answered(id, msg)
		return
	}
	n.answer(from, id, msg)
}

// answered ends a call; a bare Status is a refusal.
func (n *Node) answered(id uint64, msg any) {
	if refusal, ok := msg.(*messages.Status); ok {
		n.calls.finish(id, nil, refusal.Err())
		return
	}
	n.calls.finish(id, msg, nil)
}

// answer sends an answer to the node that asked; from is its id@address.
func (n *Node) answer(from string, id uint64, msg any) {
	r := &messages.Routed{ReplyNode: from, ReplyId: id}
	if err := pack(r, msg); err != nil {
		n.metrics.dropped.Inc()
		return
	}
	node, addr, _ := strings.Cut(from, "@")
	n.transmit(Member{ID: node, Addr: addr}, &messages.Envelope{Routed: []*messages.Routed{r}})
}

func (a *answers) SendSystemMessage(*actor.PID, any) { a.metrics.dropped.Inc() }
func (a *answers) Stop(*actor.PID)                   { a.metrics.dropped.Inc() }

// parseCall splits the id of a call's PID: <node>@<address>/<number>.
func parseCall(s string) (from string, id uint64, err error) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", 0, fmt.Errorf("%w: call %q", ErrAddress, s)
	}
	if id, err = strconv.ParseUint(s[i+1:], 10, 64); err != nil {
		return "", 0, fmt.Errorf("%w: call %q", ErrAddress, s)
	}
	return s[:i], id, nil
}

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
