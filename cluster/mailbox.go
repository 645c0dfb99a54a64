package cluster

import (
	"errors"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// maxQueued bounds the messages that wait in one mailbox.
const maxQueued = 10_000

// Mailbox is protoactor's Mailbox, scheduled on the node's run queues. One
// turn handles everything that was queued when it began and then calls the
// actor's Drained, so that an actor can answer a burst with one action.
type Mailbox struct {
	link
	host  *Node
	slot  *slot // where a virtual actor is found; nil for a plain one
	addr  Address
	inv   actor.MessageInvoker
	drain func()
	flush func()

	nextFlush *Mailbox // in its worker's list
	flushing  bool     // is in that list; the worker's own

	mu        sync.Mutex
	user      *burst // nil when empty
	system    *[]any // hardly ever there
	left      int32  // messages of the current burst still to come; the turn's own
	queue     uint8  // of the node's run queues
	running   bool
	started   bool
	closed    bool
	suspended bool
	touched   bool // posted to since the last sweep
	leaving   bool // Leave was called; the turn's own, as is kept
	kept      []any
}

// burst is what waits in a mailbox; empty ones are shared by all.
type burst struct{ messages []any }

var bursts = sync.Pool{New: func() any { return new(burst) }}

// Post queues a message. It answers ErrOverloaded when the queue is full and
// ErrClosed when the actor has stopped; the caller still owns the message then.
func (m *Mailbox) Post(msg any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.post(msg)
}

func (m *Mailbox) post(msg any) error {
	if m.closed {
		return ErrClosed
	}
	if m.waiting() >= maxQueued {
		m.host.metrics.overflows.Inc()
		return ErrOverloaded
	}
	m.touched = true
	m.push(msg)
	return nil
}

func (m *Mailbox) push(msg any) {
	if m.user == nil {
		m.user = bursts.Get().(*burst)
	}
	m.user.messages = append(m.user.messages, msg)
	m.kick()
}

func (m *Mailbox) waiting() int {
	if m.user == nil {
		return 0
	}
	return len(m.user.messages)
}

// PostOwn queues what an activation is owed: the answer of the store, a tick of
// its timer. It is never refused for length, since each activation has but a
// few of these under way; it is dropped when the actor has ended, and no other
// activation gets it.
func (m *Mailbox) PostOwn(msg any) {
	if m.slot != nil {
		msg = own{msg}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.push(msg)
	}
}

// own is a message to this activation of a virtual actor alone.
type own struct{ msg any }

func isOwn(msg any) bool {
	_, is := msg.(own)
	return is
}

// kick is called with mu held.
func (m *Mailbox) kick() {
	if m.started && !m.running {
		m.running = true
		m.host.run.queues[m.queue].push(&m.link)
	}
}

// PostUserMessage is protoactor's way in. A virtual actor that closed in the
// meantime is activated again, here or where its shard is now, so nothing is
// lost.
func (m *Mailbox) PostUserMessage(msg any) {
	err := m.Post(msg)
	if errors.Is(err, ErrClosed) && m.slot != nil {
		m.elsewhere(msg)
		return
	}
	if err != nil {
		m.host.metrics.dropped.Inc()
	}
}

// Address is the virtual actor's.
func (m *Mailbox) Address() Address { return m.addr }

// PostSystemMessage is protoactor's; system messages are few and never refused.
func (m *Mailbox) PostSystemMessage(msg any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.system == nil {
		m.system = new([]any)
	}
	*m.system = append(*m.system, msg)
	m.kick()
}

// RegisterHandlers is called by protoactor while it spawns the actor.
func (m *Mailbox) RegisterHandlers(inv actor.MessageInvoker, _ actor.Dispatcher) {
	m.inv = inv
}

// Start makes the mailbox run. Until then it only collects.
func (m *Mailbox) Start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.started = true
	m.kick()
}

// UserMessageCount is the number of messages that wait.
func (m *Mailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waiting()
}

// OnDrained sets what is called in the actor's turn after each burst. It is
// set by the actor while it starts.
func (m *Mailbox) OnDrained(f func()) { m.drain = f }

// OnFlush sets what Flush asks for. It is set by the actor while it starts.
func (m *Mailbox) OnFlush(f func()) { m.flush = f }

// Flush asks, from within the actor's turn, for its OnFlush to be called once
// when nothing more urgent is waiting. What comes in until then goes out with
// it: the busier the node, the more.
func (m *Mailbox) Flush() {
	if !m.flushing {
		m.flushing = true
		m.host.run.queues[m.queue].flushes.push(m)
	}
}

func (m *Mailbox) flushed() {
	m.flushing = false
	m.guard(m.flush)
}

// self is the PID of the activation: the invoker is its context.
func (m *Mailbox) self() *actor.PID { return m.inv.(actor.Context).Self() }

func (m *Mailbox) turn() {
	m.mu.Lock()
	for m.system != nil {
		system := *m.system
		m.system = nil
		m.mu.Unlock()
		for _, msg := range system {
			m.invokeSystem(msg)
		}
		m.mu.Lock()
	}
	var user *burst
	if !m.suspended {
		user, m.user = m.user, nil
	}
	m.mu.Unlock()
	if user != nil {
		m.handle(user.messages)
		user.release()
	}
	m.rest()
}

func (m *Mailbox) handle(messages []any) {
	for i, msg := range messages {
		messages[i], m.left = nil, int32(len(messages)-i-1)
		if !m.invoke(msg) {
			m.abandon(messages[i+1:])
			return
		}
		if m.leaving {
			m.leave(messages[i+1:])
			return
		}
	}
	if m.drain != nil {
		m.guard(m.drain)
	}
}

func (b *burst) release() {
	if cap(b.messages) > 1024 {
		return
	}
	clear(b.messages)
	b.messages = b.messages[:0]
	bursts.Put(b)
}

// rest ends the turn, or queues the next one behind the others.
func (m *Mailbox) rest() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running = false
	if m.system != nil || (m.user != nil && !m.suspended) {
		m.kick()
	}
}

func (m *Mailbox) invokeSystem(msg any) {
	switch msg.(type) {
	case *actor.SuspendMailbox:
		m.suspend(true)
	case *actor.ResumeMailbox:
		m.suspend(false)
	default:
		m.start(msg)
	}
}

// start handles the messages of protoactor that begin or end an actor. One that
// cannot start would not start again either: what waits for it is dropped.
func (m *Mailbox) start(msg any) {
	defer func() {
		if r := recover(); r != nil {
			m.host.metrics.dropped.Add(float64(len(m.close())))
			m.host.panicked(r, msg)
			m.host.System.Root.Stop(m.self())
		}
	}()
	m.inv.InvokeSystemMessage(msg)
}

func (m *Mailbox) suspend(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.suspended = on
}

// invoke handles one message. A panic ends this activation: what it had in
// memory cannot be trusted, what was committed can.
func (m *Mailbox) invoke(msg any) (ok bool) {
	if o, is := msg.(own); is {
		msg = o.msg
	}
	defer func() {
		if r := recover(); r != nil {
			m.host.panicked(r, msg)
			ok = false
		}
	}()
	m.inv.InvokeUserMessage(msg)
	return true
}

// guard runs a part of the actor that no message has started.
func (m *Mailbox) guard(f func()) {
	defer func() {
		if r := recover(); r != nil {
			m.host.panicked(r, nil)
			m.abandon(nil)
		}
	}()
	f()
}

// sweep posts Idle to an actor that got nothing since the last sweep.
func (m *Mailbox) sweep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	idle := !m.touched && !m.closed && m.user == nil
	m.touched = false
	if idle {
		m.push(Idle{})
	}
}
