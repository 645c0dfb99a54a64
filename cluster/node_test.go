package cluster

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"rollcall/messages"
	"rollcall/presence"
)

// echo answers a Read with the name of its node.
type echo struct {
	node  string
	calls int
}

func (e *echo) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *messages.Read:
		e.calls++
		ctx.Respond(&messages.Presence{User: m.Viewer, Version: uint64(e.calls), Error: &messages.Status{Code: e.node}})
	case string:
		panic(m)
	case *messages.ListBlocks: // never answered
	case *messages.Recheck:
		ctx.Respond(messages.StatusOf(messages.ErrStorageLow))
	}
}

func echoes(node string) map[Kind]Spawn {
	return map[Kind]Spawn{UserKind: func(Address, *Mailbox) actor.Actor { return &echo{node: node} }}
}

func ask(t *testing.T, n *Node, u presence.UserID) *messages.Presence {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	a, err := n.Request(ctx, User(u), &messages.Read{Viewer: messages.FromUser(u)})
	if err != nil {
		t.Fatal(err)
	}
	return a.(*messages.Presence)
}

func TestRequest(t *testing.T) {
	n := startNode(t, "a", echoes("a"))
	u := userN(1)
	if a := ask(t, n, u); a.Error.Code != "a" || a.User.Mri != u.MRI {
		t.Errorf("answered %v", a)
	}
	_, err := n.Request(t.Context(), User(u), &messages.Recheck{})
	if !errors.Is(err, messages.ErrStorageLow) {
		t.Errorf("a refusal came as %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := n.Request(ctx, User(u), &messages.ListBlocks{}); err == nil {
		t.Error("a request that nobody answers came back without an error")
	}
	eventually(t, "the call is forgotten", func() bool { return n.Waiting() == 0 })
}

func TestPanicEndsTheActivationAndNothingElse(t *testing.T) {
	n := startNode(t, "a", echoes("a"))
	u := userN(1)
	if a := ask(t, n, u); a.Version != 1 {
		t.Fatalf("first call is number %d", a.Version)
	}
	if err := n.Tell(User(u), "the actor panics on this"); err != nil {
		t.Fatal(err)
	}
	if a := ask(t, n, u); a.Version != 1 {
		t.Errorf("after a panic the actor went on with call %d, want a new activation", a.Version)
	}
}

func TestFullMailboxRefuses(t *testing.T) {
	n := startNode(t, "a", nil)
	m := n.newMailbox(1) // never started: nothing is taken out
	for range maxQueued {
		if err := m.Post(1); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Post(1); !errors.Is(err, ErrOverloaded) {
		t.Errorf("a full mailbox answered %v", err)
	}
	m.PostOwn(2)
	if m.UserMessageCount() != maxQueued+1 {
		t.Error("the activation's own message was refused")
	}
}

func TestClosedNodeRefuses(t *testing.T) {
	n := startNode(t, "a", echoes("a"))
	var got atomic.Value
	n.Ask(User(userN(1)), &messages.ListBlocks{}, time.Hour, func(_ any, err error) { got.Store(err) })
	n.Close()
	if err, _ := got.Load().(error); !errors.Is(err, ErrClosed) {
		t.Errorf("a call under way ended with %v", err)
	}
	if err := n.Tell(User(userN(1)), "x"); !errors.Is(err, ErrClosed) {
		t.Errorf("Tell answered %v", err)
	}
	if _, err := n.Request(t.Context(), User(userN(1)), "x"); !errors.Is(err, ErrClosed) {
		t.Errorf("Request answered %v", err)
	}
	if _, err := n.SpawnPlain(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("SpawnPlain answered %v", err)
	}
}

func TestParseAddress(t *testing.T) {
	for _, a := range []Address{User(userN(3)), Tenant(userN(3).Tenant)} {
		if got, err := ParseAddress(a.String()); err != nil || got != a {
			t.Errorf("%s came back as %v, %v", a, got, err)
		}
	}
	for _, s := range []string{"", "user", "user/", "user/8:orgid:x", "tenant/", "tenant/x", "endpoint/x/y", "user/x/8:orgid:y"} {
		if _, err := ParseAddress(s); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// Garbage and unknown types from a peer are counted and skipped.
func TestMessagesThatAreNotKnownAreSkipped(t *testing.T) {
	n := startNode(t, "a", echoes("a"))
	n.Receive("b", &messages.Envelope{Routed: []*messages.Routed{
		{Actor: User(userN(1)).String(), Type: "rollcall.v9.FromTheFuture"},
		{Actor: User(userN(1)).String(), Type: "rollcall.v1.Read", Body: []byte{0xff}},
		{Actor: "nonsense", Type: "rollcall.v1.Read"},
		{Actor: "node", Type: "rollcall.v9.FromTheFuture"},
	}})
	if got := counter(n.metrics.unknown); got != 4 {
		t.Errorf("%v messages counted as unknown, want 4", got)
	}
	if a := ask(t, n, userN(1)); a.Version != 1 {
		t.Error("something of it reached the actor")
	}
}

// A virtual PID reaches its actor from anywhere in protoactor.
func TestVirtualPIDs(t *testing.T) {
	n := startNode(t, "a", echoes("a"))
	u := userN(4)
	pid := actor.NewPID(virtualSpace, User(u).String())
	got, err := n.System.Root.RequestFuture(pid, &messages.Read{Viewer: messages.FromUser(u)}, 30*time.Second).Result()
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := got.(*messages.Presence); !ok || p.User.Mri != u.MRI {
		t.Errorf("answered %v", got)
	}
	n.System.Root.Send(actor.NewPID(virtualSpace, "nobody/x"), "x")
	if counter(n.metrics.dropped) != 1 {
		t.Error("a message to no address was not counted")
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add(User(userN(1)).String())
	f.Add("tenant/" + userN(1).Tenant.String())
	f.Add("user//")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		if again, err := ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("%q reads as %v but not back: %v", s, a, err)
		}
	})
}

func BenchmarkTell(b *testing.B) {
	var done atomic.Int64
	n := startNode(b, "a", map[Kind]Spawn{UserKind: func(Address, *Mailbox) actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if _, ok := ctx.Message().(*messages.Read); ok {
				done.Add(1)
			}
		})
	}})
	const users = 10_000
	addrs := make([]Address, users)
	for i := range addrs {
		addrs[i] = User(userN(i))
	}
	msg := &messages.Read{}
	b.ReportAllocs()
	sent := int64(0)
	for b.Loop() {
		for n.Tell(addrs[int(sent)%users], msg) != nil {
			time.Sleep(time.Millisecond)
		}
		sent++
	}
	for done.Load() < sent {
		time.Sleep(time.Millisecond)
	}
}

func BenchmarkRequest(b *testing.B) {
	n := startNode(b, "a", echoes("a"))
	msg := &messages.Read{}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		i := 0
		for pb.Next() {
			i++
			if _, err := n.Request(context.Background(), User(userN(i%1000)), msg); err != nil {
				b.Error(err)
			}
		}
	})
}
