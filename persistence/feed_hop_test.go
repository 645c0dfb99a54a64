package persistence

import (
	"fmt"
	"testing"
	"time"

	"rollcall/presence"
)

// step plays one random event.
func (w *nodes) step(trims bool) {
	w.clock.Add(w.rnd.Int64N(50))
	switch k := w.rnd.IntN(100); {
	case k < 35:
		w.commit()
	case k < 60:
		w.deliver()
	case k < 68:
		to := w.rnd.IntN(len(w.list))
		w.round(to, (to+1+w.rnd.IntN(len(w.list)-1))%len(w.list))
	case k < 70:
		w.reopen(w.rnd.IntN(len(w.list)))
	case k < 72:
		if trims {
			w.trim()
		}
	case k == 72:
		if err := w.list[w.rnd.IntN(len(w.list))].settle(); err != nil {
			w.t.Fatal(err)
		}
	case k < 76:
		r := w.readers[w.rnd.IntN(len(w.readers))]
		r.node, r.moved = w.rnd.IntN(len(w.list)), true
	default:
		w.readers[w.rnd.IntN(len(w.readers))].read(w, 1+w.rnd.IntN(8))
	}
}

// settle lets all nodes meet until they hold the same.
func (w *nodes) settle() {
	w.flying = nil
	w.clock.Add((lateFor + time.Minute).Milliseconds())
	for range 2 {
		for _, n := range w.list {
			if err := n.settle(); err != nil {
				w.t.Fatal(err)
			}
		}
		for to := range w.list {
			for from := range w.list {
				if to != from {
					w.round(to, from)
				}
			}
		}
	}
	for _, shard := range w.shards {
		for i := range w.list {
			if w.root(i, shard) != w.root(0, shard) {
				w.t.Errorf("shard %d has another digest on node %d", shard, i)
			}
		}
	}
}

func TestReadersOfSeveralNodesMissNothing(t *testing.T) {
	first, last := uint64(1), uint64(12)
	if testing.Short() {
		last = 4
	}
	if *feedSeed != 0 {
		first, last = *feedSeed, *feedSeed
	}
	hops, begins := 0, 0
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			w := newNodes(t, seed, 3)
			for i := range 6 {
				r := &feedReaderAt{tenant: []presence.TenantID{contoso, fabrikam}[i%2], node: i % 3}
				r.begin(w)
				w.readers = append(w.readers, r)
			}
			for range 400 {
				w.step(seed%2 == 0)
			}
			w.settle()
			for _, r := range w.readers {
				for r.read(w, 100) {
				}
				if err := r.check(w); err != nil {
					t.Errorf("%v (again with -feed.seed=%d)", err, seed)
				}
				hops += r.hops
				if len(r.since) > 0 {
					begins++
				}
			}
			for _, n := range w.list {
				closeStore(t, n.Store)
			}
		})
	}
	t.Logf("%d times a token was good at another node, %d readers had to begin anew", hops, begins)
	if *feedSeed == 0 && hops < int(last) {
		t.Errorf("tokens were good at another node only %d times", hops)
	}
}
