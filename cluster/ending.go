package cluster

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"rollcall/messages"
)

// abandon closes the mailbox after a panic and hands what others sent to the
// next activation.
func (m *Mailbox) abandon(rest []any) {
	if m.slot != nil {
		m.host.dir.replace(m, rest)
	} else {
		m.close()
	}
	m.host.System.Root.Stop(m.self())
}

// close refuses further messages and returns those that waited.
func (m *Mailbox) close() []any {
	if m.slot != nil {
		m.slot.mu.Lock()
		defer m.slot.mu.Unlock()
	}
	return m.closeHeld()
}

// closeHeld is close with the slot's lock held.
func (m *Mailbox) closeHeld() []any {
	if m.slot != nil && m.slot.mailboxes[m.addr] == m {
		delete(m.slot.mailboxes, m.addr)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var waiting []any
	if m.user != nil {
		waiting = m.user.messages
	}
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
	m.host.System.Root.Stop(m.self())
	return true
}

func (m *Mailbox) closeIfEmpty() bool {
	m.slot.mu.Lock()
	defer m.slot.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left > 0 || m.user != nil || m.closed {
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
	m.host.System.Root.Stop(m.self())
}

// elsewhere sends a message of a virtual actor that has closed anew.
func (m *Mailbox) elsewhere(envelope any) {
	_, msg, sender := actor.UnwrapEnvelope(envelope)
	p := &parcel{to: m.addr, msg: msg, sender: sender}
	_, p.handoff = msg.(*messages.Adopt) // else it could be relayed to the one that sent it
	if !m.host.calls.carryOn(p) {
		return
	}
	if err := m.host.place(p); err != nil {
		m.host.fail(p, err)
	}
}

// Leave ends the activation of a virtual actor whose shard has moved away: what
// waits, and what the actor has kept before it, follows to the new owner. It is
// called by the actor itself while it handles a message, which is then its last.
func (m *Mailbox) Leave(kept []any) { m.leaving, m.kept = true, kept }

// leave sends what is left of the burst and what has come since to where the
// shard is now.
func (m *Mailbox) leave(rest []any) {
	for _, msg := range slices.Concat(m.kept, rest, m.close()) {
		if !isOwn(msg) {
			m.elsewhere(msg)
		}
	}
	m.host.System.Root.Stop(m.self())
}

// Closed says whether the activation has ended.
func (m *Mailbox) Closed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}
