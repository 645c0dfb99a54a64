//go:debug randseednop=0
package gossip

import (
	"slices"
	"testing"
	"time"

	"rollcall/cluster/topology"
)

const many = 16

func TestSimulatedDeath(t *testing.T) {
	for _, members := range []int{3, many} {
		simulate(t, seedsOf(1, 2, 3), members, func(w *world) {
			w.until(5*time.Second, ids(0, members)...)
			time.Sleep(time.Duration(w.wires.seed) * 331 * time.Millisecond) // another moment of their rounds
			w.kill(w.node(members - 1))
			first, last := w.until(10*time.Second, ids(0, members-1)...)
			w.Logf("%d members: known as dead by the first after %v, by all after %v", members, first, last)
			if last > 3*time.Second {
				w.Errorf("known as dead everywhere after %v, want 3 s at most", last)
			}
		})
	}
}

func TestSimulatedLoss(t *testing.T) {
	simulate(t, seedsOf(1), many, func(w *world) {
		w.until(5*time.Second, ids(0, many)...)
		w.mark()
		w.wires.lossy(0.05)
		time.Sleep(45 * time.Second)
		for _, n := range w.live() {
			if len(n.lists) > 1 {
				w.Errorf("%s lost sight of a member at 5%% loss: %v", n.member.ID, n.lists)
			}
		}
	})
}

func TestSimulatedSplit(t *testing.T) {
	for _, c := range []struct {
		apart         time.Duration
		members, left int
	}{{45 * time.Second, many, 9}, {5 * time.Minute, 6, 3}} {
		simulate(t, seedsOf(1), c.members, func(w *world) {
			w.until(5*time.Second, ids(0, c.members)...)
			left, right := w.wiresOf(0, c.left), w.wiresOf(c.left, c.members)
			w.wires.split(left, right, false, false)
			time.Sleep(c.apart)
			w.untilAt(w.live()[:c.left], time.Second, ids(0, c.left)...)
			w.untilAt(w.live()[c.left:], time.Second, ids(c.left, c.members)...)
			w.wires.split(left, right, false, true)
			first, last := w.until(20*time.Second, ids(0, c.members)...)
			w.Logf("apart for %v: the first node sees all again after %v, all do after %v", c.apart, first, last)
			if last > 12*time.Second {
				w.Errorf("whole again after %v, want about 10 s", last)
			}
		})
	}
}

func TestSimulatedLeave(t *testing.T) {
	simulate(t, seedsOf(1), many, func(w *world) {
		w.until(5*time.Second, ids(0, many)...)
		leaver := w.node(5)
		leaver.Update(func(m *topology.Member) { m.Leaving = true })
		deadline := time.Now().Add(5 * time.Second)
		for _, n := range w.live() {
			for !n.last()[5].Leaving {
				if time.Now().After(deadline) {
					w.Fatalf("%s does not know that n05 leaves", n.member.ID)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		began := time.Now()
		if err := leaver.Leave(3 * time.Second); err != nil {
			w.Error(err)
		}
		w.kill(leaver)
		w.until(time.Second, slices.Delete(ids(0, many), 5, 6)...)
		w.Logf("gone everywhere %v after Leave", time.Since(began))
		for _, n := range w.live() {
			if i := slices.IndexFunc(n.Status().Members, func(p Peer) bool { return p.ID == "n05" && p.State == Left }); i < 0 {
				w.Errorf("%s does not say that n05 has left: %+v", n.member.ID, n.Status().Members)
			}
			if len(n.roster.missing()) > 0 {
				w.Errorf("%s misses who has left", n.member.ID)
			}
		}
	})
}

func TestSimulatedRestart(t *testing.T) {
	simulate(t, seedsOf(1), many, func(w *world) {
		w.until(5*time.Second, ids(0, many)...)
		w.mark()
		w.kill(w.node(7))
		again := w.start(7, 2) // before anyone has missed it
		began := time.Now()
		for _, n := range w.live() {
			for n != again && n.last()[7].Incarnation != 2 {
				if len(n.last()) != many || time.Since(began) > 3*time.Second {
					w.Fatalf("%s names %v", n.member.ID, n.last())
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		w.Logf("known everywhere under the new incarnation after %v", time.Since(began))
		time.Sleep(20 * time.Second)
		w.until(time.Second, ids(0, many)...)
		for _, n := range w.live() {
			if n != again && len(n.lists) != 2 {
				w.Errorf("%s was told %d lists, want the first and the one with the new incarnation", n.member.ID, len(n.lists))
			}
		}
	})
}

func TestSimulatedFalseDeath(t *testing.T) {
	simulate(t, seedsOf(1), many, func(w *world) {
		w.until(5*time.Second, ids(0, many)...)
		mute, others := w.wiresOf(15, many), w.wiresOf(0, 15)
		w.wires.split(mute, others, true, false) // it hears and is not heard
		w.untilAt(w.live()[:15], 10*time.Second, ids(0, 15)...)
		w.wires.split(mute, others, true, true)
		_, last := w.untilAt(w.live()[:15], 20*time.Second, ids(0, many)...)
		w.Logf("seen by all again after %v", last)
		if w.live()[0].last()[15].Incarnation != 1 {
			w.Error("it came back as another process")
		}
	})
}
