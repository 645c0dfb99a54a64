package copies

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/messages"
	"rollcall/persistence"
)

func TestCloseAnswersEveryCallOnce(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		nodes := three(n, Config{Ack: 0})
		table := n.meet()
		n.settled(settleTime)
		one := nodes[0]
		n.sever(one.member.ID, true)
		for shard := range uint16(4096) {
			one.Unsettle(shard)
		}
		const many = 200
		var commits, loads [many]atomic.Int32
		for i, u := range users(many) {
			one.Commit(note(u, "x"), true, func(_ int, err error) {
				commits[i].Add(1)
				held := len(n.holders(table, u)) > 0
				if held && !errors.Is(err, messages.ErrUnconfirmed) {
					t.Errorf("a commit ended with %v", err)
				}
			})
			one.Load(u, func(_ persistence.Loaded, err error) {
				loads[i].Add(1)
				if err != nil && !errors.Is(err, messages.ErrClosing) {
					t.Errorf("a load ended with %v", err)
				}
			})
		}
		begin := time.Now()
		n.kill(one)
		if took := time.Since(begin); took > 2*closeTime {
			t.Errorf("closing took %v", took)
		}
		time.Sleep(10 * time.Second)
		for i := range many {
			if c, l := commits[i].Load(), loads[i].Load(); c != 1 || l != 1 {
				t.Fatalf("commit %d was answered %d times, load %d times", i, c, l)
			}
		}
		if _, err := one.commit(note(userN(1), "x")); !errors.Is(err, messages.ErrClosing) {
			t.Errorf("a commit after the end: %v", err)
		}
		if _, err := one.load(userN(1)); !errors.Is(err, messages.ErrClosing) {
			t.Errorf("a load after the end: %v", err)
		}
		one.Receive(nodes[1].member.ID, &messages.Behind{})
		one.Close()
	})
}

func TestCloseWaitsForCommitsThatEnd(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		nodes := three(n, Config{Ack: 2})
		n.meet()
		n.settled(settleTime)
		ended := make(chan error, 1)
		nodes[0].Commit(note(userN(1), "x"), true, func(_ int, err error) { ended <- err })
		nodes[0].Close()
		if err := <-ended; err != nil {
			t.Errorf("the commit ended with %v", err)
		}
	})
}
