package cluster

import (
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
	queue *runQueue
	host  *Node
	slot  *slot // where a virtual actor is found; nil for a plain one
	addr  Address
	inv   actor.MessageInvoker
	self  *actor.PID
	drain func()

	mu        sync.Mutex
	user      []any
	system    []any
	running   bool
	started   bool
	closed    bool
	suspended bool
	touched   bool // posted to since the last sweep

	left int // messages of the current burst still to come; the turn's own
}

var bursts = sync.Pool{New: func() any { return new([]any) }}

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
	if len(m.user) >= maxQueued {
		m.host.metrics.overflows.Inc()
		return ErrOverloaded
	}
	if m.user == nil {
		m.user = *bursts.Get().(*[]any)
	}
	m.user = append(m.user, msg)
	m.touched = true
	m.kick()
	return nil
}

// PostOwn queues what an activation is owed: the answer of the store, a tick of
// its timer. It is never refused for length, since each activation has but a
// few of these under way; it is dropped when the actor has ended.
func (m *Mailbox) PostOwn(msg any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	m.user = append(m.user, msg)
	m.kick()
}

// kick is called with mu held.
func (m *Mailbox) kick() {
	if m.started && !m.running {
		m.running = true
		m.queue.push(&m.link)
	}
}

// PostUserMessage is protoactor's way in. A virtual actor that closed in the
// meantime is activated again, so nothing is lost.
func (m *Mailbox) PostUserMessage(msg any) {
	err := m.Post(msg)
	if err == ErrClosed && m.slot != nil {
		err = m.host.dir.deliver(m.addr, msg)
	}
	if err != nil {
		m.host.metrics.dropped.Inc()
	}
}

// PostSystemMessage is protoactor's; system messages are few and never refused.
func (m *Mailbox) PostSystemMessage(msg any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.system = append(m.system, msg)
	m.kick()
}

// RegisterHandlers is called by protoactor while it spawns the actor.
func (m *Mailbox) RegisterHandlers(inv actor.MessageInvoker, _ actor.Dispatcher) {
	m.inv = inv
	if ctx, ok := inv.(actor.Context); ok {
		m.self = ctx.Self()
	}
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
	return len(m.user)
}

// OnDrained sets what is called in the actor's turn after each burst. It is
// set by the actor while it starts.
func (m *Mailbox) OnDrained(f func()) { m.drain = f }

// Self is the PID of the activation.
func (m *Mailbox) Self() *actor.PID { return m.self }

func (m *Mailbox) turn() {
	m.mu.Lock()
	system, user := m.system, m.user
	m.system = nil
	if m.suspended {
		user = nil
	} else {
		m.user = nil
	}
	m.mu.Unlock()
	for _, msg := range system {
		m.invokeSystem(msg)
	}
	for i, msg := range user {
		user[i], m.left = nil, len(user)-i-1
		if !m.invoke(msg) {
			m.abandon(user[i+1:])
			break
		}
	}
	if m.drain != nil && len(user) > 0 {
		m.drained()
	}
	m.release(user)
	m.rest()
}

func (m *Mailbox) release(user []any) {
	if cap(user) == 0 || cap(user) > 1024 {
		return
	}
	clear(user)
	user = user[:0]
	bursts.Put(&user)
}

// rest ends the turn, or queues the next one behind the others.
func (m *Mailbox) rest() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running = false
	if len(m.system) > 0 || (len(m.user) > 0 && !m.suspended) {
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
		m.inv.InvokeSystemMessage(msg)
	}
}

func (m *Mailbox) suspend(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.suspended = on
}

// invoke handles one message. A panic ends this activation: what it had in
// memory cannot be trusted, what was committed can.
func (m *Mailbox) invoke(msg any) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			m.host.panicked(r, msg)
			ok = false
		}
	}()
	m.inv.InvokeUserMessage(msg)
	return true
}

func (m *Mailbox) drained() {
	defer func() {
		if r := recover(); r != nil {
			m.host.panicked(r, nil)
			m.abandon(nil)
		}
	}()
	m.drain()
}

// abandon closes the mailbox after a panic and hands what waits in it to the
// next activation.
func (m *Mailbox) abandon(rest []any) {
	waiting := append(append([]any(nil), rest...), m.close()...)
	m.host.System.Root.Stop(m.self)
	if m.slot == nil {
		return
	}
	for _, msg := range waiting {
		if err := m.host.dir.deliver(m.addr, msg); err != nil {
			m.host.metrics.dropped.Inc()
		}
	}
}

// close refuses further messages and returns those that waited.
func (m *Mailbox) close() []any {
	if m.slot != nil {
		m.slot.mu.Lock()
		defer m.slot.mu.Unlock()
		if m.slot.mailboxes[m.addr] == m {
			delete(m.slot.mailboxes, m.addr)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	waiting := m.user
	m.closed, m.user = true, nil
	return waiting
}

// CloseIfEmpty ends a virtual actor's activation unless a message is waiting.
// It is called by the actor itself, in its own turn, when everything it holds
// is stored; the caller must then return. A message sent from now on activates
// the actor anew.
func (m *Mailbox) CloseIfEmpty() bool {
	if !m.closeIfEmpty() {
		return false
	}
	m.host.metrics.passivations.Inc()
	m.host.System.Root.Stop(m.self)
	return true
}

func (m *Mailbox) closeIfEmpty() bool {
	m.slot.mu.Lock()
	defer m.slot.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left > 0 || len(m.user) > 0 || m.closed {
		return false
	}
	m.closed = true
	delete(m.slot.mailboxes, m.addr)
	return true
}

// Stop ends a plain actor: what waits is dropped, later posts get ErrClosed.
// The actor still gets protoactor's Stopping and Stopped.
func (m *Mailbox) Stop() {
	m.close()
	m.host.System.Root.Stop(m.self)
}

// sweep posts Idle to an actor that got nothing since the last sweep.
func (m *Mailbox) sweep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.touched || m.closed || len(m.user) > 0 {
		m.touched = false
		return
	}
	_ = m.post(Idle{}) // an empty, open mailbox takes it
	m.touched = false
}
