package cluster

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"rollcall/messages"
)

// Endpoints that each make a call as they begin share the processors all the
// same: numbering calls must not decide where actors run.
func TestPlainActorsSpreadOverTheRunQueues(t *testing.T) {
	n := startNode(t, "a", echoes("a"))
	queues := len(n.run.queues)
	used := make([]int, queues)
	const each = 100
	for range each * queues {
		m, err := n.SpawnPlain(func(*Mailbox) actor.Actor { return actor.ReceiveFunc(func(actor.Context) {}) })
		if err != nil {
			t.Fatal(err)
		}
		used[m.queue]++
		n.Ask(User(userN(1)), &messages.Read{}, time.Minute, func(any, error) {})
	}
	for q, actors := range used {
		if actors < each/2 {
			t.Errorf("queue %d has %d actors of %d", q, actors, each*queues)
		}
	}
}
