package actors

import (
	"github.com/asynkron/protoactor-go/actor"

	"rollcall/cluster"
	"rollcall/messages"
	"rollcall/presence"
)

// tenant owns one tenant's policy: it is its only writer. Changes follow one
// another; each is stored, then in force on this node, then answered when a
// second node has it, if there is one.
type tenant struct {
	sys     *System
	id      presence.TenantID
	mailbox *cluster.Mailbox
	clock   presence.Clock
	waiting []asked // the first is being stored

	yielding chan<- farewell // the shard moves; every node has every policy
}

type (
	policyStored struct {
		policy presence.Policy
		err    error
	}
	policySafe struct {
		policy *messages.Policy
		err    error
	}
)

// Receive dispatches.
func (t *tenant) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *messages.SetPolicy:
		if len(t.waiting) >= maxStashed {
			t.reply(ctx, ctx.Sender(), &messages.PolicySet{Error: messages.StatusOf(messages.ErrOverloaded)})
			return
		}
		t.waiting = append(t.waiting, asked{m, ctx.Sender()})
		if len(t.waiting) == 1 {
			t.store(ctx)
		}
	case policyStored:
		t.onStored(ctx, m)
	case policySafe:
		t.finish(ctx, &messages.PolicySet{Policy: m.policy, Error: messages.StatusOf(m.err)})
		t.store(ctx)
	case yield:
		t.yielding = m.to
		t.yieldNow()
	case cluster.Idle:
		if len(t.waiting) == 0 && t.yielding == nil {
			t.mailbox.CloseIfEmpty()
		}
	}
}

func (t *tenant) yieldNow() {
	if t.yielding != nil && len(t.waiting) == 0 {
		t.yielding <- farewell{}
		t.yielding = nil
		t.mailbox.Leave(nil)
	}
}

// store begins with the oldest waiting change; bad ones are refused on the way.
func (t *tenant) store(ctx actor.Context) {
	for len(t.waiting) > 0 {
		p, err := t.accept(t.waiting[0].msg.(*messages.SetPolicy))
		if err == nil {
			t.sys.store.CommitPolicy(p, func(err error) { t.mailbox.PostOwn(policyStored{p, err}) })
			return
		}
		t.finish(ctx, &messages.PolicySet{Error: messages.StatusOf(err)})
	}
	t.yieldNow()
}

func (t *tenant) accept(m *messages.SetPolicy) (presence.Policy, error) {
	p, err := messages.ToPolicy(m.Policy)
	if err != nil {
		return p, err
	}
	p.Tenant = t.id
	if err := p.Check(); err != nil {
		return p, messages.ErrBadRequest.With(err.Error())
	}
	t.clock.Observe(t.sys.policies.of(t.id).Version)
	p.Version = t.clock.Next(t.sys.now())
	return p, nil
}

func (t *tenant) onStored(ctx actor.Context, m policyStored) {
	if m.err != nil {
		t.finish(ctx, &messages.PolicySet{Error: messages.StatusOf(storeError(m.err))})
		t.store(ctx)
		return
	}
	t.sys.enforce(m.policy)
	wire, err := messages.FromPolicy(m.policy)
	if err != nil {
		t.mailbox.PostOwn(policySafe{wire, err})
		return
	}
	t.sys.spreadPolicy(wire, func(err error) { t.mailbox.PostOwn(policySafe{wire, err}) })
}

func (t *tenant) finish(ctx actor.Context, a *messages.PolicySet) {
	t.reply(ctx, t.waiting[0].sender, a)
	t.waiting = t.waiting[1:]
}

func (t *tenant) reply(ctx actor.Context, to *actor.PID, a *messages.PolicySet) {
	if to != nil {
		ctx.Send(to, a)
	}
}
