package copies

import (
	"errors"
	"slices"
	"testing"
	"time"

	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
)

const settleTime = 30 * time.Second

func users(n int) (list []presence.UserID) {
	for i := range n {
		list = append(list, userN(i))
	}
	return list
}

func TestOneNodeAlone(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		a := n.start(1, newDisk(1), Config{Ack: 2})
		copies, err := a.commit(note(userN(1), "alone"))
		if copies != 1 || err != nil {
			t.Fatalf("%d copies, %v", copies, err)
		}
		l, err := a.load(userN(1))
		if err != nil || !l.Found || l.State.Note.Content != "alone" {
			t.Fatalf("%+v, %v", l, err)
		}
		if s := a.Status(); s.Durability != 1 || s.Commits != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func three(n *network, c Config) (list [3]*node) {
	for i := range list {
		store := uint64(i + 1)
		list[i] = n.start(store, newDisk(store), c)
	}
	return list
}

func TestCommitsAreOnTwoNodesBeforeTheyEnd(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		three(n, Config{Ack: 2})
		table := n.meet()
		n.settled(settleTime)
		for _, u := range users(50) {
			copies, err := n.owner(table, u).commit(note(u, "x"))
			if err != nil || copies < 2 {
				t.Fatalf("%d copies, %v", copies, err)
			}
			have := 0
			for _, one := range n.holders(table, u) {
				if one.text(u) == "x" {
					have++
				}
			}
			if have < copies {
				t.Fatalf("%d copies said, %d there", copies, have)
			}
		}
		time.Sleep(time.Second)
		n.alike(table, users(50))
		for _, one := range n.nodes {
			if s := one.Status(); s.Unsettled != 0 || s.Durability != 3 {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestChangesOfOneShardEnterTheFeedInOrder(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		three(n, Config{Ack: 0})
		table := n.meet()
		n.settled(settleTime)
		u := userN(7)
		owner := n.owner(table, u)
		const many = 100
		ends := make(chan error, many)
		for range many {
			go owner.Commit(note(u, "x"), true, func(_ int, err error) { ends <- err })
		}
		for range many {
			if err := <-ends; err != nil {
				t.Fatal(err)
			}
		}
		want := owner.disk.FeedEnds(u.Shard())
		if len(want) != 1 || want[0].Origin != owner.store || want[0].Seq == 0 {
			t.Fatalf("the owner has %+v", want)
		}
		for _, one := range n.holders(table, u) {
			if got := one.disk.FeedEnds(u.Shard()); len(got) != 1 || got[0] != want[0] {
				t.Errorf("%s has %+v, the owner %+v", one.member.ID, got, want)
			}
		}
	})
}

func TestOneOfThreeDoesNotAnswer(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		err    error
	}{
		{"two suffice", Config{Ack: 2}, nil},
		{"all are wanted", Config{Ack: 0}, messages.ErrUnconfirmed},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(t *testing.T, n *network) {
				three(n, c.config)
				table := n.meet()
				n.settled(settleTime)
				u := userN(1)
				set := n.holders(table, u)
				n.sever(set[2].member.ID, true)
				begin := time.Now()
				copies, err := set[0].commit(note(u, "x"))
				if took := time.Since(begin); !errors.Is(err, c.err) || copies != 2 || err == nil && took > 100*time.Millisecond {
					t.Fatalf("%d copies, %v after %v", copies, err, took)
				}
				n.sever(set[2].member.ID, false)
				until(t, settleTime, "the third is told", func() bool { return set[2].text(u) == "x" })
				n.settled(2 * time.Minute)
				n.alike(table, []presence.UserID{u})
			})
		})
	}
}

func TestTooFewNodes(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		a := n.start(1, newDisk(1), Config{Ack: 2, Min: 2})
		copies, err := a.commit(note(userN(1), "x"))
		if !errors.Is(err, messages.ErrTooFew) || copies != 0 || a.text(userN(1)) != "" {
			t.Fatalf("%d copies, %v", copies, err)
		}
		n.start(2, newDisk(2), Config{})
		n.meet()
		if copies, err = a.commit(note(userN(1), "x")); err != nil || copies != 2 {
			t.Fatalf("%d copies, %v", copies, err)
		}
	})
}

// nextOwner is who owns a user when its owner is gone.
func nextOwner(t *topology.Table, u presence.UserID) topology.Member {
	owner, _ := t.Owner(u.Shard())
	rest := slices.DeleteFunc(slices.Clone(t.Members), func(m topology.Member) bool { return m.ID == owner.ID })
	next, _ := topology.NewTable(2, rest).Owner(u.Shard())
	return next
}

// The owner dies. Who comes next may have missed what was acknowledged.
func TestNextOwnerAsksForWhatItMissed(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		three(n, Config{Ack: 2})
		table := n.meet()
		n.settled(settleTime)
		u := userN(1)
		set := n.holders(table, u)
		next := n.nodes[nextOwner(table, u).ID]
		n.block(set[0].member.ID, next.member.ID, true)
		if copies, err := set[0].commit(note(u, "acknowledged")); err != nil || copies != 2 {
			t.Fatalf("%d copies, %v", copies, err)
		}
		n.kill(set[0])
		n.meet()
		if l, err := next.load(u); err != nil || l.State.Note.Content != "acknowledged" {
			t.Fatalf("%+v, %v", l, err)
		}
		next.mu.Lock()
		defer next.mu.Unlock()
		for _, cm := range next.merged {
			if cm.State.Note.Content == "acknowledged" {
				t.Error("what was gathered was told as a foreign change before the load")
			}
		}
	})
}

func TestNewNodeIsFilledAndOthersDrop(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		three(n, Config{Ack: 2})
		table := n.meet()
		n.settled(settleTime)
		all := users(300)
		for _, u := range all {
			if _, err := n.owner(table, u).commit(note(u, "x")); err != nil {
				t.Fatal(err)
			}
		}
		d := n.start(4, newDisk(4), Config{Ack: 2})
		table = n.meet()
		n.settled(2 * time.Minute)
		n.alike(table, all)
		has := 0
		for _, u := range all {
			if d.text(u) == "x" {
				has++
			}
		}
		if has < len(all)/2 {
			t.Errorf("the new node has %d of %d users", has, len(all))
		}
	})
}

func TestWipedNodeIsFilledAgain(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		nodes := three(n, Config{Ack: 2})
		table := n.meet()
		n.settled(settleTime)
		all := users(200)
		for _, u := range all {
			if _, err := n.owner(table, u).commit(note(u, "x")); err != nil {
				t.Fatal(err)
			}
		}
		n.kill(nodes[1])
		n.meet()
		time.Sleep(5 * time.Second)
		n.start(2, newDisk(2), Config{Ack: 2})
		table = n.meet()
		for _, u := range all[:20] { // gathered while the node is empty
			if l, err := n.owner(table, u).load(u); err != nil || l.State.Note.Content != "x" {
				t.Fatalf("%s: %+v, %v", u, l, err)
			}
		}
		n.settled(2 * time.Minute)
		n.alike(table, all)
	})
}

func TestFullDiskOfTheOwner(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		three(n, Config{Ack: 2})
		table := n.meet()
		n.settled(settleTime)
		u := userN(1)
		set := n.holders(table, u)
		setLow(set[0].disk, true)
		if copies, err := set[0].commit(note(u, "carried")); err != nil || copies != 2 {
			t.Fatalf("%d copies, %v", copies, err)
		}
		if set[0].text(u) != "" {
			t.Fatal("a full disk has taken something")
		}
		setLow(set[1].disk, true)
		setLow(set[2].disk, true)
		if copies, err := set[0].commit(note(u, "refused")); !errors.Is(err, persistence.ErrStorageLow) || copies != 0 {
			t.Fatalf("%d copies, %v", copies, err)
		}
		for _, one := range set {
			setLow(one.disk, false)
		}
		n.settled(2 * time.Minute)
		n.alike(table, []presence.UserID{u})
		if set[0].text(u) != "carried" {
			t.Errorf("the owner has %q", set[0].text(u))
		}
	})
}

func TestUserTooLargeForOneMessage(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		a := n.start(1, newDisk(1), Config{})
		u := userN(1)
		targets := users(presence.MaxTargets)
		for i := range 40 {
			v := note(u, "").Version
			cm := persistence.Commit{User: u, Elements: []presence.Element{{
				Key: presence.WatchKey("endpoint-" + string(rune('a'+i/26)) + string(rune('a'+i%26))), Value: presence.NewWatch(targets),
				Stamp: presence.Stamp{Version: v, Node: 1},
			}}}
			if _, err := a.commit(cm); err != nil {
				t.Fatal(err)
			}
		}
		b := n.start(2, newDisk(2), Config{})
		table := n.meet()
		if _, err := b.load(u); err != nil {
			t.Fatal(err)
		}
		cm, _, _ := b.disk.Copy(u)
		if len(cm.Elements) != 40 {
			t.Errorf("%d of 40 lists were gathered", len(cm.Elements))
		}
		n.settled(2 * time.Minute)
		n.alike(table, []presence.UserID{u})
	})
}
