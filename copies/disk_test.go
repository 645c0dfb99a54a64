package copies

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rollcall/persistence"
	"rollcall/presence"
)

// openDisk is a real store, which ends with the test.
func openDisk(t testing.TB, noSync bool) *persistence.Store {
	t.Helper()
	s, err := persistence.Open(persistence.Config{
		Dir: t.TempDir(), Ballast: -1, NoSync: noSync, Fatal: func(err error) { t.Error(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// realThree are three nodes over real stores, joined by function calls.
func realThree(t testing.TB, noSync bool, c Config) (*network, [3]*node) {
	t.Helper()
	n := newNetwork(t)
	n.delay = 0
	var list [3]*node
	for i := range list {
		disk := openDisk(t, noSync)
		list[i] = n.start(disk.Node(), disk, c)
	}
	t.Cleanup(n.close)
	return n, list
}

func TestOverRealStores(t *testing.T) {
	n, list := realThree(t, true, Config{Ack: 2})
	table := n.meet()
	n.settled(settleTime)
	all := users(100)
	for _, u := range all {
		if copies, err := n.owner(table, u).commit(note(u, "x")); err != nil || copies < 2 {
			t.Fatalf("%d copies, %v", copies, err)
		}
	}
	until(t, settleTime, "all have everything", func() bool {
		for _, one := range list {
			for _, u := range all {
				if one.text(u) != "x" {
					return false
				}
			}
		}
		return true
	})
	disk := openDisk(t, true)
	n.kill(list[2])
	fourth := n.start(disk.Node(), disk, Config{Ack: 2})
	table = n.meet()
	for _, u := range all {
		if l, err := n.owner(table, u).load(u); err != nil || l.State.Note.Content != "x" {
			t.Fatalf("%+v, %v", l, err)
		}
	}
	until(t, time.Minute, "the new node has everything", func() bool {
		for _, u := range all {
			if fourth.text(u) != "x" {
				return false
			}
		}
		return true
	})
	n.alike(table, all)
}

// BenchmarkReplicated commits what a publish changes on three nodes with real
// stores. Messages between them are encoded, and handed over by a call.
func BenchmarkReplicated(b *testing.B) {
	for _, c := range []struct {
		ack    int
		noSync bool
	}{{1, true}, {2, true}, {0, true}, {2, false}} {
		b.Run(fmt.Sprintf("ack=%d/fsync=%v", c.ack, !c.noSync), func(b *testing.B) {
			n, _ := realThree(b, c.noSync, Config{Ack: c.ack})
			table := n.meet()
			n.settled(settleTime)
			benchmarkCommits(b, n, func(u presence.UserID) *node { return n.owner(table, u) })
		})
	}
}

func benchmarkCommits(b *testing.B, n *network, owner func(presence.UserID) *node) {
	const (
		population = 10_000
		flight     = 2_000 // commits under way
	)
	type target struct {
		u     presence.UserID
		owner *node
	}
	targets := make([]target, population)
	for i, u := range users(population) {
		targets[i] = target{u, owner(u)}
	}
	n.mu.Lock()
	before := n.bytes
	n.mu.Unlock()
	room := make(chan struct{}, flight)
	var failed atomic.Int64
	var ending sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	began := cpu(b)
	for i := range b.N {
		t := &targets[i%population]
		room <- struct{}{}
		ending.Add(1)
		t.owner.Commit(session(t.u), i%2 == 0, func(_ int, err error) {
			if err != nil {
				failed.Add(1)
			}
			<-room
			ending.Done()
		})
	}
	ending.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu(b)-began).Microseconds())/float64(b.N), "cpu-us/op")
	n.mu.Lock()
	sent := n.bytes - before
	n.mu.Unlock()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
	b.ReportMetric(float64(sent)/float64(b.N), "sent-B/op")
	if failed.Load() > 0 {
		b.Errorf("%d of %d commits failed", failed.Load(), b.N)
	}
}

// cpu is what this process has used of all cores.
func cpu(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// session is what a client's publish changes.
func session(u presence.UserID) persistence.Commit {
	cm := note(u, "")
	cm.State.Note = presence.Note{}
	cm.Elements[0] = presence.Element{
		Key: presence.SessionKey("7d9f2c3e"), Stamp: cm.Elements[0].Stamp, Expires: time.Now().Add(time.Minute).UnixMilli(),
		Value: presence.Session{Availability: presence.Available, Activity: presence.ActAvailable, Leased: true, LastActive: time.Now().UnixMilli()},
	}
	return cm
}
