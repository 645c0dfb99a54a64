package cluster

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/messages"
	"rollcall/wheel"
)

// fragile panics on what it is told to, and keeps what it has handled.
type fragile struct {
	mailbox    *Mailbox
	activation int64
	log        *fragileLog
}

type fragileLog struct {
	mu          sync.Mutex
	activations atomic.Int64
	handled     []any
	at          []int64 // the activation that handled it
	started     func()
}

type (
	crash struct{ ready, goOn chan struct{} } // panics once both sides have met
	ownOf struct{ activation int64 }
)

func (f *fragile) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		if f.log.started != nil {
			f.log.started()
		}
	case *actor.Stopping, *actor.Stopped:
	case crash:
		close(m.ready)
		<-m.goOn
		panic("as told")
	default:
		f.log.mu.Lock()
		defer f.log.mu.Unlock()
		f.log.handled = append(f.log.handled, m)
		f.log.at = append(f.log.at, f.activation)
	}
}

func (l *fragileLog) spawn() map[Kind]Spawn {
	return map[Kind]Spawn{UserKind: func(_ Address, m *Mailbox) actor.Actor {
		return &fragile{m, l.activations.Add(1), l}
	}}
}

func (l *fragileLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.handled)
}

// What an activation posted to itself means nothing to the next one: a panic
// must not hand it over. What others sent goes on.
func TestPanicHandsOverOnlyWhatOthersSent(t *testing.T) {
	var l fragileLog
	n := startNode(t, "a", l.spawn())
	a := User(userN(1))
	c := crash{make(chan struct{}), make(chan struct{})}
	if err := n.Tell(a, c); err != nil {
		t.Fatal(err)
	}
	<-c.ready
	m := n.dir.slot(a).list()[0]
	m.PostOwn(ownOf{1})
	if err := n.Tell(a, "from outside"); err != nil {
		t.Fatal(err)
	}
	m.PostOwn(ownOf{1})
	close(c.goOn)
	eventually(t, "the message from outside is handled", func() bool { return l.count() >= 1 })
	if err := n.Tell(a, "last"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the last one too", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.handled[len(l.handled)-1] == "last"
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.handled) != 2 || l.handled[0] != "from outside" {
		t.Errorf("handled %v, want what came from outside", l.handled)
	}
}

// A panic ends an activation; what its senders sent before and after it is
// still handled in the order of each.
func TestPanicKeepsTheOrderOfEachSender(t *testing.T) {
	var l fragileLog
	n := startNode(t, "a", l.spawn())
	a := User(userN(1))
	const each, senders = 2000, 4
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				if i%50 == 0 {
					c := crash{make(chan struct{}), make(chan struct{})}
					close(c.goOn)
					for n.Tell(a, c) != nil {
						time.Sleep(time.Millisecond)
					}
				}
				for n.Tell(a, numbered{s, i}) != nil {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "every message is handled", func() bool { return l.count() == each*senders })
	l.mu.Lock()
	defer l.mu.Unlock()
	next := [senders]int{}
	for _, h := range l.handled {
		m := h.(numbered)
		if m.seq != next[m.sender] {
			t.Fatalf("sender %d: %d came when %d was due", m.sender, m.seq, next[m.sender])
		}
		next[m.sender]++
	}
}

// An actor that cannot even start, or that panics while it stops, ends alone.
func TestPanicOfAStartOrStopEndsNothingElse(t *testing.T) {
	var l fragileLog
	var starts atomic.Int64
	l.started = func() {
		if starts.Add(1) == 1 {
			panic("at the start")
		}
	}
	n := startNode(t, "a", l.spawn())
	if err := n.Tell(User(userN(1)), "x"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the panic is counted", func() bool { return counter(n.metrics.panics) == 1 })
	if err := n.Tell(User(userN(1)), "x"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the next activation starts", func() bool { return l.count() == 1 })
	m, err := n.SpawnPlain(func(*Mailbox) actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if _, ok := ctx.Message().(*actor.Stopping); ok {
				panic("at the stop")
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Stop()
	eventually(t, "both are counted", func() bool { return counter(n.metrics.panics) == 2 })
	if err := n.Tell(User(userN(1)), "y"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node goes on", func() bool { return l.count() == 2 })
}

// A change of policy must reach an actor however much waits in its mailbox.
func TestEachReachesAFullMailbox(t *testing.T) {
	var l fragileLog
	n := startNode(t, "a", l.spawn())
	a := User(userN(1))
	if err := n.Tell(a, "first"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it runs", func() bool { return l.count() == 1 })
	l.mu.Lock() // the actor's next message waits for this
	full := false
	for range 3 * maxQueued {
		if err := n.Tell(a, "filler"); errors.Is(err, ErrOverloaded) {
			full = true
			break
		}
	}
	if !full {
		t.Fatal("the mailbox is never full")
	}
	n.Each(UserKind, "policy")
	l.mu.Unlock()
	eventually(t, "it is handled", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.handled[len(l.handled)-1] == "policy"
	})
}

// A call that waits when the node closes, one that comes while it closes, and
// one after: each gets exactly one answer.
func TestEveryAskIsAnsweredOnceWhileTheNodeCloses(t *testing.T) {
	for range 5 {
		w := wheel.New(time.Millisecond, 256)
		w.Start(t.Context())
		n := NewNode(Config{
			Self: member("a"), Log: slog.New(slog.DiscardHandler), Wheel: w, Now: time.Now,
			Registerer: prometheus.NewRegistry(), Spawn: echoes("a"),
		})
		var asked, answered atomic.Int64
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for s := range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					asked.Add(1)
					var once atomic.Bool
					n.Ask(User(userN(i%50+s)), &messages.Read{}, 50*time.Millisecond, func(any, error) {
						if once.Swap(true) {
							t.Error("answered twice")
						}
						answered.Add(1)
					})
				}
			})
		}
		eventually(t, "it works", func() bool { return answered.Load() > 100 })
		n.Close()
		close(stop)
		wg.Wait()
		eventually(t, "every call is answered", func() bool { return asked.Load() == answered.Load() })
		if n.Waiting() != 0 {
			t.Error("calls are left over")
		}
		w.Close()
	}
}
