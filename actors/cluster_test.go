package actors

import (
	"fmt"
	"testing"
	"time"

	"rollcall/cluster"
	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/presence"
)

// A publish through one gateway, of a user of a second node, is seen by a client
// of a third.
func TestPublishAcrossNodes(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(3)
		u := n.userOn("n2", "pub")
		d := nodes[2].connect(bob, "phone")
		d.add(u)
		wait(10 * time.Millisecond)
		d.wants(u, presence.Offline, presence.ActOffline)
		s := nodes[0].publish(u, nodes[0].busy())
		wait(10 * time.Millisecond)
		d.wants(u, presence.Busy, presence.ActInACall)
		if _, v := d.get(u); v != s.Version {
			t.Errorf("version %v is seen, %v was published", v, s.Version)
		}
	})
}

// Whatever node a user is handed over to, and back: the state, its version, the
// watchers and the lists stay as they are, and what is published meanwhile
// arrives.
func TestHandoverKeepsEverything(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(3)
		u := n.userOn("n2", "pub")
		phone := nodes[0].connect(u, "phone")
		phone.publishSession(1, presence.Busy, presence.ActInACall)
		d := nodes[2].connect(bob, "desk")
		d.add(u)
		phone.add(bob)
		wait(time.Second)
		before := nodes[0].read(bob, u)
		n.members("n1", "n2-", "n3")
		n.settle()
		if after := nodes[0].read(bob, u); after != before {
			t.Errorf("before %+v, after %+v", before, after)
		}
		if s := nodes[1].Cluster(); s.Served+s.Held != 0 {
			t.Errorf("the leaving node still serves %d shards", s.Served+s.Held)
		}
		wait(5 * time.Second)
		if shards, err := nodes[1].store.Shards(); err != nil || len(shards) != 0 {
			t.Errorf("the leaving node still stores users of %d shards, which the others have; %v", len(shards), err)
		}
		_, items, _ := d.count()
		wait(2 * time.Second)
		phone.publishSession(2, presence.Away, presence.ActAway)
		wait(time.Second)
		d.wants(u, presence.Away, presence.ActAway)
		if _, now, _ := d.count(); now != items+1 || d.regressions != 0 {
			t.Errorf("%d items after the handover, want the one that changed; %d versions went back", now-items, d.regressions)
		}
		if again := nodes[0].connect(u, "phone"); again.watchingNow() != 1 {
			t.Error("the list was lost on the way")
		}
	})
}

// When an owner dies its users come back from what their devices have said,
// under higher versions, and are watched as before.
func TestOwnerDies(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(3)
		left := topology.NewTable(0, []topology.Member{nodes[0].self, nodes[2].self})
		var u presence.UserID
		for i := 0; ; i++ { // one whose next owner knows of the death before the device's gateway does
			u = n.userOn("n2", fmt.Sprint("pub", i, "-"))
			if next, _ := left.Owner(u.Shard()); next.ID == "n3" {
				break
			}
		}
		phone := nodes[0].connect(u, "phone")
		phone.publishSession(1, presence.Busy, presence.ActInACall)
		phone.add(bob)
		d := nodes[2].connect(bob, "desk")
		d.add(u)
		wait(time.Second)
		d.wants(u, presence.Busy, presence.ActInACall)
		d.forget()
		n.kill("n2")
		wait(2 * time.Second)
		for i, p := range []*peerNode{nodes[2], nodes[0]} { // the gateway of the device learns of it last
			p.SetMembers([]topology.Member{nodes[0].self, nodes[2].self})
			wait(time.Duration(1-i) * 700 * time.Millisecond)
		}
		wait(2 * time.Second)
		d.neverSaw(presence.Offline)
		if s := nodes[2].read(bob, u); s.State.Availability != presence.Busy {
			t.Fatalf("after the owner's death %+v", s)
		}
		d.wants(u, presence.Busy, presence.ActInACall)
		phone.publishSession(2, presence.Away, presence.ActAway)
		wait(2 * time.Second)
		d.wants(u, presence.Away, presence.ActAway)
		if d.regressions != 0 {
			t.Errorf("%d versions went back", d.regressions)
		}
		if again := nodes[0].connect(u, "phone"); again.watchingNow() != 1 {
			t.Error("the list of what the device watches is lost")
		}
	})
}

// A node that was believed dead and is not gives up what others have taken over;
// what it has heard meanwhile is merged.
func TestFalseDeathIsMerged(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(3)
		u := n.userOn("n2", "pub")
		d := nodes[2].connect(bob, "desk")
		d.add(u)
		nodes[0].publish(u, put(presence.NoteKey, presence.Note{Content: "first"}, time.Time{}))
		for _, p := range []*peerNode{nodes[0], nodes[2]} {
			p.SetMembers([]topology.Member{nodes[0].self, nodes[2].self})
		}
		wait(time.Second)
		nodes[0].publish(u, nodes[0].busy()) // to the new owner
		if _, err := nodes[1].System.Publish(t.Context(), u, note("second")); err == nil {
			t.Error("a node that nobody listens to has acknowledged a publish") // it may count or not; here it does
		}
		wait(time.Second)
		n.members("n1", "n2", "n3")
		n.settle()
		wait(5 * time.Second)
		s := nodes[0].read(bob, u)
		if s.State.Availability != presence.Busy || s.State.Note.Content != "second" {
			t.Errorf("merged to %+v", s.State)
		}
		if got, v := d.get(u); got.Note.Content != "second" || got.Availability != presence.Busy || v != s.Version || d.regressions != 0 {
			t.Errorf("the watcher sees %+v at %v, want version %v; %d went back", got, v, s.Version, d.regressions)
		}
	})
}

// The devices of a gateway that dies have the grace to come back elsewhere; the
// others go offline with it, and no ghost stays.
func TestGatewayDies(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(3)
		lost, back := n.userOn("n2", "lost"), n.userOn("n2", "back")
		watcher := nodes[2].connect(bob, "desk")
		watcher.add(lost, back)
		ghost := nodes[0].connect(lost, "phone")
		ghost.publishSession(1, presence.Busy, presence.ActInACall)
		moved := nodes[0].connect(back, "phone")
		moved.publishSession(1, presence.Busy, presence.ActInACall)
		wait(time.Second)
		n.kill("n1")
		wait(2 * time.Second)
		n.members("n2", "n3")
		again := nodes[2].connect(back, "phone") // and publishes nothing
		wait(14 * time.Second)
		watcher.wants(lost, presence.Busy, presence.ActInACall)
		wait(2 * time.Second)
		watcher.wants(lost, presence.Offline, presence.ActOffline)
		wait(2 * time.Minute)
		watcher.wants(back, presence.Busy, presence.ActInACall)
		again.link.Closed()
		wait(16 * time.Second)
		watcher.wants(back, presence.Offline, presence.ActOffline)
	})
}

// A client that comes back to another gateway while its old one does not know
// yet that it is gone: the old one's late word takes nothing from it.
func TestClientChangesItsGateway(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(3)
		u := n.userOn("n3", "mover")
		watcher := nodes[2].connect(bob, "desk")
		watcher.add(u)
		old := nodes[0].connect(u, "phone")
		old.publishSession(1, presence.Busy, presence.ActInACall)
		wait(time.Second)
		nodes[1].connect(u, "phone")
		wait(time.Second)
		if old.reason() != CloseSuperseded {
			t.Errorf("the old connection was closed for %v", old.reason())
		}
		_, items, _ := watcher.count()
		wait(3 * time.Minute)
		watcher.wants(u, presence.Busy, presence.ActInACall)
		if _, now, _ := watcher.count(); now != items {
			t.Errorf("%d changes were announced", now-items)
		}
	})
}

// Notifications and registrations that were lost without anybody noticing are
// found by the comparison within a period and a second look.
func TestLostMessagesAreFound(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(3)
		u, other := n.userOn("n2", "pub"), n.userOn("n2", "other")
		d := nodes[2].connect(bob, "desk")
		d.add(u, other)
		wait(time.Second)
		n.losing(func(_, to string, e *messages.Envelope) bool { return to == "n3" && len(e.Notifies) > 0 })
		nodes[0].publish(u, nodes[0].busy())
		wait(time.Second)
		n.losing(nil)
		d.wants(u, presence.Offline, presence.ActOffline) // it was lost
		wait(digestEvery*6/5 + 2*secondLook + time.Second)
		d.wants(u, presence.Busy, presence.ActInACall)
		nodes[1].node.Each(cluster.UserKind, gatewaysGone{[]string{nodes[2].self.Name()}}) // the owner has forgotten
		wait(time.Second)
		nodes[0].publish(other, nodes[0].busy())
		wait(digestEvery*6/5 + 2*secondLook + time.Second)
		d.wants(other, presence.Busy, presence.ActInACall)
		before := nodes[2].Interest().Differences
		wait(10 * digestEvery)
		if now := nodes[2].Interest().Differences; now != before || before == 0 {
			t.Errorf("%d shards differed, %d in quiet", before, now-before)
		}
	})
}

// A policy reaches every node: at once, after a loss within seconds, and a node
// that joins later.
func TestPolicyReachesEveryNode(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(3)
		u := n.userOn("n2", "pub")
		d := nodes[2].connect(dave, "desk") // of another tenant
		d.add(u)
		nodes[0].publish(u, nodes[0].busy())
		wait(time.Second)
		d.wants(u, presence.Busy, presence.ActInACall)
		set := func(privacy bool) presence.Policy {
			p := presence.DefaultPolicy(home)
			p.Privacy = privacy
			p, err := nodes[0].SetPolicy(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		set(true)
		wait(100 * time.Millisecond)
		d.wants(u, presence.PresenceUnknown, presence.ActPresenceUnknown)
		missing := nodes[1]
		if owner, _ := missing.Table().Owner(cluster.Tenant(home).Shard()); owner.ID == missing.id {
			missing = nodes[2]
		}
		n.losing(func(_, to string, e *messages.Envelope) bool {
			return to == missing.id && len(e.Routed) == 1 && e.Routed[0].Type == "rollcall.v1.Policies"
		})
		p := set(false)
		n.losing(nil)
		wait(policyEvery * 6 / 5)
		if got := missing.Policy(home); got.Version != p.Version {
			t.Errorf("%s missed the policy and knows version %v, want %v", missing.id, got.Version, p.Version)
		}
		d.wants(u, presence.Busy, presence.ActInACall)
		late := n.add("n4", 1, nil)
		n.members("n1", "n2", "n3", "n4")
		wait(time.Second)
		if got := late.Policy(home); got.Version != p.Version {
			t.Errorf("the node that joined knows version %v, want %v", got.Version, p.Version)
		}
	})
}

// A client may send the change of its list to any gateway.
func TestWatchThroughAnotherGateway(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(2)
		d := nodes[0].connect(bob, "desk")
		wait(time.Second)
		at := d.welcome().Address
		a, err := nodes[1].WatchAt(t.Context(), bob, at, WatchChange{Add: []presence.UserID{alice, dave}})
		if err != nil || a.Watching != 2 {
			t.Fatalf("%+v, %v", a, err)
		}
		nodes[1].publish(alice, nodes[1].busy())
		wait(time.Second)
		d.wants(alice, presence.Busy, presence.ActInACall)
		if _, err := nodes[1].WatchAt(t.Context(), carol, at, WatchChange{Add: []presence.UserID{alice}}); err == nil {
			t.Error("somebody else's endpoint was changed")
		}
	})
}

// While an owner was cut off from a gateway it let the gateway's sessions lapse:
// when the two meet again the devices, which were there all the time, are online,
// and nobody shows another version than the owner's.
func TestPartitionDoesNotEndLivingSessions(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(3)
		cut := []topology.Member{nodes[2].self}
		rest := []topology.Member{nodes[0].self, nodes[1].self}
		for _, owner := range []string{"n1", "n2", "n3"} {
			u := n.userOn(owner, "still")
			phone := nodes[0].connect(u, "phone")
			phone.publishSession(1, presence.Busy, presence.ActInACall)
			var watchers []*device
			for _, p := range nodes {
				d := p.connect(bob, "desk-"+owner+p.id)
				d.add(u)
				watchers = append(watchers, d)
			}
			wait(time.Second)
			for _, d := range watchers {
				d.forget()
			}
			n.losing(func(from, to string, _ *messages.Envelope) bool { return from == "n3" || to == "n3" })
			wait(3 * time.Second)
			nodes[2].SetMembers(cut)
			nodes[0].SetMembers(rest)
			nodes[1].SetMembers(rest)
			wait(40 * time.Second)
			if owner == "n3" {
				watchers[2].wants(u, presence.Offline, presence.ActOffline) // as far as n3 knows
			}
			n.losing(nil)
			n.members("n1", "n2", "n3")
			n.settle()
			wait(5 * time.Second)
			s := nodes[1].read(bob, u)
			watchers[0].neverSaw(presence.Offline)
			watchers[1].neverSaw(presence.Offline)
			for i, d := range watchers {
				d.wants(u, presence.Busy, presence.ActInACall)
				if _, v := d.get(u); v != s.Version || d.regressions != 0 {
					t.Errorf("owner %s: the watcher at n%d has version %v, want %v; %d went back", owner, i+1, v, s.Version, d.regressions)
				}
			}
		}
	})
}

// A session that lapsed although its device is there comes back with the next
// renewal.
func TestLapsedSessionIsSaidAgain(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(2)
		u := n.userOn("n2", "pub")
		phone := nodes[0].connect(u, "phone")
		phone.publishSession(1, presence.Busy, presence.ActInACall)
		clear := Publish{Device: "phone", Received: time.Now(), Mutations: []presence.Mutation{{
			Op: presence.Clear, Key: presence.SessionKey("phone"),
		}}}
		nodes[1].publish(u, clear)
		if s := nodes[1].read(bob, u); s.State.Availability != presence.Offline {
			t.Fatalf("not ended: %+v", s)
		}
		wait(PingEvery * 6 / 5)
		if s := nodes[1].read(bob, u); s.State.Availability != presence.Busy {
			t.Errorf("the device is there and reads %+v", s)
		}
	})
}

// forget begins the device's history anew.
func (d *device) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.history = nil
}

func (d *device) neverSaw(a presence.Availability) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.history {
		if s.Availability == a {
			d.t.Errorf("%s saw %v in between", d.key.ID, a)
		}
	}
}
