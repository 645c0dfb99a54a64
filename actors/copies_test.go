package actors

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
)

func note(text string) Publish {
	return put(presence.NoteKey, presence.Note{Content: text}, time.Time{})
}

// What was acknowledged and nobody repeats outlives its owner, and a second one,
// once the copies of the first are made good.
func TestAcknowledgedOutlivesItsOwners(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(3)
		u := n.userOn("n2", "pub")
		if s := nodes[0].publish(u, note("kept")); s.Copies < 2 {
			t.Errorf("acknowledged with %d copies", s.Copies)
		}
		nodes[0].publish(u, put(presence.BlockKey(carol), presence.Block{}, time.Time{}))
		phone := nodes[0].connect(u, "phone")
		phone.add(bob, alice)
		wait(time.Second)
		n.kill("n2")
		n.members("n1", "n3")
		wait(3 * time.Second)
		if s := nodes[2].read(bob, u); s.State.Note.Content != "kept" {
			t.Fatalf("after the first death %+v", s.State)
		}
		n.kill("n1")
		n.members("n3")
		wait(3 * time.Second)
		if s := nodes[2].read(bob, u); s.State.Note.Content != "kept" {
			t.Fatalf("after the second death %+v", s.State)
		}
		if blocks, err := nodes[2].Blocks(t.Context(), u); err != nil || len(blocks) != 1 || blocks[0] != carol {
			t.Errorf("blocks %v, %v", blocks, err)
		}
		if again := nodes[2].connect(u, "phone"); again.watchingNow() != 2 {
			t.Error("the list of what the device watches is lost")
		}
		if s := nodes[2].publish(u, note("alone")); s.Copies != 1 {
			t.Errorf("one node is left and says %d copies", s.Copies)
		}
	})
}

// A gateway that cannot reach the owner does not wait for gossip: another
// replica stands in, with everything, and hands back what it was told.
func TestReplicaStandsIn(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(3)
		u := n.userOn("n2", "pub")
		d := nodes[2].connect(bob, "desk")
		d.add(u)
		nodes[0].publish(u, note("before"))
		wait(time.Second)
		n.losing(func(from, to string, _ *messages.Envelope) bool { return from == "n2" || to == "n2" })
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		answered := make(chan error, 1)
		go func() {
			_, err := nodes[0].Publish(ctx, u, nodes[0].busy())
			answered <- err
		}()
		time.Sleep(300 * time.Millisecond)
		for _, p := range []*peerNode{nodes[0], nodes[2]} {
			p.Suspect("n2", true)
		}
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("answered after %v", took)
		}
		wait(2 * time.Second)
		d.wants(u, presence.Busy, presence.ActInACall)
		if s := nodes[0].read(bob, u); s.State.Note.Content != "before" {
			t.Errorf("the stand-in knows %+v", s.State)
		}
		n.losing(nil)
		for _, p := range []*peerNode{nodes[0], nodes[2]} {
			p.Suspect("n2", false)
		}
		wait(10 * time.Second)
		n.settle()
		if s := nodes[1].read(bob, u); s.State.Availability != presence.Busy || s.State.Note.Content != "before" {
			t.Errorf("the owner knows %+v", s.State)
		}
		nodes[0].publish(u, nodes[0].away())
		wait(time.Second)
		d.wants(u, presence.Away, presence.ActAway)
		if _, v := d.get(u); v != nodes[0].read(bob, u).Version || d.regressions != 0 {
			t.Errorf("%d versions went back, or another is shown than read", d.regressions)
		}
	})
}

// Both sides of a partition take what they are told; afterwards everybody has
// the sum.
func TestPartitionMergesWhatBothWereTold(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(3)
		for _, owner := range []string{"n1", "n3"} {
			u := n.userOn(owner, "split")
			d := nodes[1].connect(bob, "desk-"+owner)
			d.add(u)
			wait(time.Second)
			n.losing(func(from, to string, _ *messages.Envelope) bool { return from == "n3" || to == "n3" })
			for _, p := range nodes[:2] {
				p.SetMembers([]topology.Member{nodes[0].self, nodes[1].self})
			}
			nodes[2].SetMembers([]topology.Member{nodes[2].self})
			wait(time.Second)
			nodes[0].publish(u, nodes[0].busy())
			nodes[2].publish(u, note("other side"))
			wait(20 * time.Second)
			n.losing(nil)
			n.members("n1", "n2", "n3")
			n.settle()
			wait(8 * time.Second)
			for _, p := range nodes {
				if s := p.read(bob, u); s.State.Availability != presence.Busy || s.State.Note.Content != "other side" {
					t.Errorf("owner %s: read through %s: %+v", owner, p.id, s.State)
				}
			}
			if s, v := d.get(u); s.Note.Content != "other side" || v != nodes[0].read(bob, u).Version || d.regressions != 0 {
				t.Errorf("owner %s: the watcher sees %+v; %d versions went back", owner, s, d.regressions)
			}
		}
	})
}

// A policy is acknowledged when a second node has it: it outlives the node that
// took it.
func TestPolicyOutlivesItsNode(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(3)
		n.losing(func(from, _ string, e *messages.Envelope) bool {
			return len(e.Routed) == 1 && e.Routed[0].Type == "rollcall.v1.Policies"
		})
		p := presence.DefaultPolicy(home)
		p.Privacy = true
		if _, err := nodes[0].SetPolicy(t.Context(), p); err == nil {
			t.Error("acknowledged although no other node has it")
		}
		n.losing(nil)
		p, err := nodes[0].SetPolicy(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		others := 0
		for _, x := range nodes {
			if x.Policy(home).Version == p.Version {
				others++
			}
		}
		if others < 2 {
			t.Errorf("%d nodes have it", others)
		}
	})
}

// What no second node has confirmed is not acknowledged. It may have been stored
// all the same: then those who watch are told.
func TestUnconfirmedIsNotAcknowledged(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(2)
		u := n.userOn("n1", "pub")
		d := nodes[0].connect(n.userOn("n1", "viewer"), "desk")
		d.add(u)
		wait(time.Second)
		n.losing(func(string, string, *messages.Envelope) bool { return true })
		_, err := nodes[0].Publish(t.Context(), u, nodes[0].busy())
		var refusal *messages.Error
		if !errors.As(err, &refusal) || refusal.Code != "outcome_unknown" {
			t.Errorf("no copy could be made, and the answer is %v", err)
		}
		wait(3 * time.Second)
		if s := nodes[0].read(bob, u); s.State.Availability != presence.Busy {
			t.Fatalf("not stored: %+v", s)
		}
		d.wants(u, presence.Busy, presence.ActInACall)
	})
}

// An endpoint whose client has gone to another gateway, and which does not know
// it, says nothing again when the owner dies: the client has said newer things.
func TestLeftEndpointSaysNothingAgain(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(3)
		n.losing(func(_, _ string, e *messages.Envelope) bool {
			return len(e.Routed) == 1 && e.Routed[0].Type == "rollcall.v1.Superseded"
		})
		u := n.userOn("n2", "mover")
		left := nodes[0].connect(u, "phone")
		left.publishSession(1, presence.Busy, presence.ActInACall)
		left.add(alice)
		wait(time.Second)
		now := nodes[2].connect(u, "phone")
		now.publishSession(1, presence.Away, presence.ActAway)
		now.add(bob)
		wait(time.Second)
		n.kill("n2")
		n.members("n1", "n3")
		wait(5 * time.Second)
		if s := nodes[2].read(bob, u); s.State.Availability != presence.Away {
			t.Errorf("the device said last that it is away; read %v", s.State.Availability)
		}
		if again := nodes[2].connect(u, "phone"); again.watchingNow() != 2 {
			t.Errorf("%d are watched, 2 were said last", again.watchingNow())
		}
	})
}

// A user whose owner died and who has no device is as it was, under a version
// that a fresh read has too.
func TestOwnerOfAnAbsentUserDies(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(3)
		u := n.userOn("n2", "absent")
		d := nodes[2].connect(bob, "desk")
		d.add(u)
		nodes[0].publish(u, nodes[0].busy()) // by an application: nobody says it again
		wait(time.Second)
		d.wants(u, presence.Busy, presence.ActInACall)
		d.forget()
		n.kill("n2")
		n.members("n1", "n3")
		wait(2 * mourningTime)
		d.wants(u, presence.Busy, presence.ActInACall)
		d.neverSaw(presence.Offline)
		if _, v := d.get(u); v != nodes[0].read(bob, u).Version {
			t.Error("the watcher has another version than a reader")
		}
	})
}

// What is under way when a process finds that it was stopped ends as it would
// have, also when the user cannot be read again at once.
func TestCommitEndsBehindAFailedRefresh(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, m *memoryStore) {
		s := moody(w, m)
		w.publish(alice, w.available())
		s.hold("commit")
		answered := make(chan error, 1)
		go func() {
			_, err := w.System.Publish(t.Context(), alice, w.busy())
			answered <- err
		}()
		synctest.Wait()
		s.set("load", persistence.ErrOverloaded)
		w.stalls.n.Add(1) // as after a stop
		if _, err := w.System.Read(t.Context(), bob, alice); err == nil {
			t.Error("it speaks before it has read anew")
		}
		s.release()
		wait(time.Second)
		s.set("load", nil)
		if err := <-answered; err != nil {
			t.Errorf("the commit that had begun: %v", err)
		}
		if got := w.read(bob, alice).State.Availability; got != presence.Busy {
			t.Errorf("reads %v", got)
		}
	})
}
