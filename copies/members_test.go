package copies

import (
	"testing"
	"time"

	"rollcall/cluster/topology"
	"rollcall/persistence/memory"
	"rollcall/presence"
	"rollcall/wheel"
)

// A member that leaves has no shards any more, but what nobody else has.
func TestWhoLeavesIsAskedUntilOthersHaveAll(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		nodes := three(n, Config{Ack: 1})
		table := n.meet()
		n.settled(settleTime)
		leaving := nodes[0]
		var all []presence.UserID
		for _, u := range users(200) {
			if n.owner(table, u) == leaving {
				all = append(all, u)
			}
		}
		n.sever(leaving.member.ID, true)
		for _, u := range all {
			if copies, err := leaving.commit(note(u, "only here")); err != nil || copies != 1 {
				t.Fatalf("%d copies, %v", copies, err)
			}
		}
		n.sever(leaving.member.ID, false)
		leaving.member.Leaving = true
		table = n.meet()
		for _, u := range all[:10] {
			if l, err := n.owner(table, u).load(u); err != nil || l.State.Note.Content != "only here" {
				t.Fatalf("%+v, %v", l, err)
			}
		}
		n.settled(2 * time.Minute)
		n.alike(table, all)
		if held := leaving.disk.(*memory.Store).Users(); held != 0 {
			t.Errorf("who leaves still has %d users", held)
		}
		if s := leaving.Status(); s.Durability != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestLoadsDoNotWaitForWhoIsSilent(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		three(n, Config{Ack: 2})
		table := n.meet()
		n.settled(settleTime)
		u := userN(1)
		set := n.holders(table, u)
		if _, err := set[0].commit(note(u, "x")); err != nil {
			t.Fatal(err)
		}
		n.sever(set[1].member.ID, true)
		set[0].Unsettle(u.Shard())
		begin := time.Now()
		if l, err := set[0].load(u); err != nil || !l.Found {
			t.Fatalf("%+v, %v", l, err)
		}
		if took := time.Since(begin); took < 100*time.Millisecond || took > 600*time.Millisecond {
			t.Errorf("a silent member was waited for %v", took)
		}
		set[0].Suspect(set[1].member.ID, true)
		begin = time.Now()
		if l, err := set[0].load(u); err != nil || !l.Found {
			t.Fatalf("%+v, %v", l, err)
		}
		if took := time.Since(begin); took > 50*time.Millisecond {
			t.Errorf("a suspected member was waited for %v", took)
		}
		set[0].Suspect(set[1].member.ID, false)
		n.sever(set[1].member.ID, false)
		n.settled(2 * time.Minute)
	})
}

func TestLoadsOfOneUserShareAGather(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		three(n, Config{Ack: 2})
		table := n.meet()
		n.settled(settleTime)
		u := userN(1)
		one := n.owner(table, u)
		for _, other := range n.holders(table, u)[1:] {
			n.block(one.member.ID, other.member.ID, true) // it stays unsettled
		}
		one.UnsettleAll()
		ended := make(chan time.Time, 10)
		begin := time.Now()
		for range cap(ended) {
			one.LoadWatch(u, "e", func(presence.Element, bool, error) { ended <- time.Now() })
		}
		if s := one.Status(); s.Gathers != 1 {
			t.Errorf("%d gathers for one user", s.Gathers)
		}
		for range cap(ended) {
			if took := (<-ended).Sub(begin); took < 100*time.Millisecond {
				t.Errorf("answered after %v", took)
			}
		}
	})
}

func TestForeignChangesAreTold(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		three(n, Config{Ack: 0})
		table := n.meet()
		n.settled(settleTime)
		u := userN(1)
		set := n.holders(table, u)
		cm := note(u, "x")
		if _, err := set[0].commit(cm); err != nil {
			t.Fatal(err)
		}
		for i, one := range set {
			one.mu.Lock()
			told := len(one.merged)
			if i > 0 && (told != 1 || one.merged[0].Version != cm.Version) || i == 0 && told != 0 {
				t.Errorf("holder %d was told of %d changes", i, told)
			}
			one.mu.Unlock()
		}
	})
}

func TestPeersSayUpToWhereTheirFeedIsHere(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		nodes := three(n, Config{Ack: 0})
		table := n.meet()
		for _, u := range users(50) {
			if _, err := n.owner(table, u).commit(note(u, "x")); err != nil {
				t.Fatal(err)
			}
		}
		until(t, 3*time.Minute, "all have said so", func() bool {
			for _, one := range nodes {
				for _, other := range nodes {
					d := one.disk.(*memory.Store)
					if one != other && d.FeedCompleted(other.store) < 50 {
						return false
					}
				}
			}
			return true
		})
	})
}

func TestNewChecksItsConfiguration(t *testing.T) {
	good := Config{Disk: newDisk(1), Node: 1, Self: topology.Member{ID: "n1"}, Wheel: wheel.New(0, 0), Now: time.Now}
	for name, spoil := range map[string]func(*Config){
		"no wheel": func(c *Config) { c.Wheel = nil },
		"no disk":  func(c *Config) { c.Disk = nil },
		"ack":      func(c *Config) { c.Ack = 4 },
		"min":      func(c *Config) { c.Min = -1 },
	} {
		c := good
		spoil(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
