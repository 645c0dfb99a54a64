package cluster

import (
	"maps"
	"slices"
	"time"
)

// explain logs what every node makes of a shard.
func (s *story) explain(shard uint16) {
	for id, m := range s.members() {
		n := s.node(id)
		o, _ := n.Table().Owner(shard)
		var list []string
		for _, m := range n.Table().Members {
			list = append(list, m.Name()+map[bool]string{true: "-"}[m.Leaving])
		}
		n.shards.mu.Lock()
		s.t.Logf("shard %d at %s: state %d from %q, owner %s of %v", shard, m.Name(), n.shards.of(shard), n.shards.from[shard], o.ID, list)
		n.shards.mu.Unlock()
	}
}

// quiet lets everything that is under way end, brings back who was killed, and
// waits until all agree.
func (s *story) quiet() {
	time.Sleep(40*time.Second + restTime)
	up := s.members()
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		if _, ok := up[id]; !ok && s.node(id) != nil {
			s.join(id)
		}
	}
	time.Sleep(2 * time.Second)
	s.settled(slices.Sorted(maps.Keys(s.members()))...)
	time.Sleep(5 * time.Second)
}

func (s *story) check() {
	ids := slices.Sorted(maps.Keys(s.members()))
	first := s.node(ids[0])
	missing, total := 0, 0
	for _, id := range ids {
		n := s.node(id)
		if n.Table().Hash() != first.Table().Hash() || n.Table().Epoch != first.Table().Epoch {
			s.t.Errorf("%s: epoch %d, %s: epoch %d", id, n.Table().Epoch, ids[0], first.Table().Epoch)
		}
		if n.Waiting() != 0 || n.resends.Load() != 0 || n.shards.kept != 0 {
			s.t.Errorf("%s: %d calls, %d resends, %d kept", id, n.Waiting(), n.resends.Load(), n.shards.kept)
		}
		for i := range n.dir.slots {
			for _, m := range n.dir.slots[i].list() {
				if o, _ := n.Table().Owner(m.addr.Shard()); o.ID != id {
					s.t.Errorf("%s has an activation of a user of %s", id, o.ID)
				}
			}
		}
	}
	for u, acked := range s.acked {
		o, _ := first.Table().Owner(u.Shard())
		for _, id := range acked {
			if total++; !s.has(User(u), id) {
				missing++
			}
		}
		for _, id := range ids {
			if node, _, err := s.node(id).publish(u, s.number.Add(1), time.Second); err != nil || node != o.ID {
				s.t.Errorf("in the end a publish through %s is answered by %q, not by %s: %v", id, node, o.ID, err)
			}
		}
	}
	s.t.Logf("%d publishes acknowledged, failed: %v", total, s.failed)
	if missing > 0 {
		s.t.Errorf("%d of %d acknowledged publishes are missing", missing, total)
	}
	for _, id := range ids {
		n := s.node(id)
		if s.calm && counter(n.metrics.timeouts)+counter(n.metrics.conflicts) != 0 {
			s.t.Errorf("%s: %v timeouts, %v conflicts", id, counter(n.metrics.timeouts), counter(n.metrics.conflicts))
		}
	}
}
