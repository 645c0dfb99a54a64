package persistence

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/presence"
)

var feedSeed = flag.Uint64("feed.seed", 0, "play this seed of TestReadersOfSeveralNodesMissNothing alone")

// nodes are some stores that tell each other what they commit, over a network
// that loses, repeats and reorders, and that compare and pull now and then.
type nodes struct {
	t       *testing.T
	rnd     *rand.Rand
	clock   atomic.Int64 // unix ms
	list    []*feedNode
	users   []presence.UserID
	shards  []uint16
	version presence.Version
	stored  map[seenChange]bool // changes that some node has
	flying  []flight
	readers []*feedReaderAt
}

type feedNode struct {
	*Store
	cfg Config
}

// flight is a commit on its way to one node.
type flight struct {
	to int
	c  Commit
}

type seenChange struct {
	user    presence.UserID
	version presence.Version
}

// feedReaderAt follows one tenant and changes nodes as it likes.
type feedReaderAt struct {
	tenant presence.TenantID
	node   int
	token  string
	since  map[seenChange]bool // what its baseline contains
	seen   map[seenChange]bool
	hops   int
	moved  bool
}

func newNodes(t *testing.T, seed uint64, n int) *nodes {
	w := &nodes{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), stored: map[seenChange]bool{}}
	w.clock.Store(noon.UnixMilli())
	byShard := map[uint16][]presence.UserID{}
	for i := 0; len(w.shards) < 3; i++ { // three shards with several users of both tenants
		u := user([]presence.TenantID{contoso, fabrikam}[i%2], i)
		s := u.Shard()
		if byShard[s] = append(byShard[s], u); len(byShard[s]) == 4 {
			w.shards, w.users = append(w.shards, s), append(w.users, byShard[s]...)
		}
	}
	for i := range n {
		skew := int64(i-1) * 3000
		node := &feedNode{cfg: testConfig(t)}
		node.cfg.NoSync = true
		node.cfg.Now = func() time.Time { return time.UnixMilli(w.clock.Load() + skew) }
		node.Store = openStore(t, node.cfg)
		w.list = append(w.list, node)
	}
	return w
}

func (w *nodes) reopen(i int) {
	n := w.list[i]
	closeStore(w.t, n.Store)
	n.Store = openStore(w.t, n.cfg)
}

// commit publishes at one node. It may die with it, or its disk may be full;
// what it has sent may be stored elsewhere.
func (w *nodes) commit() {
	i := w.rnd.IntN(len(w.list))
	n := w.list[i]
	w.version++
	c := commitOf(w.users[w.rnd.IntN(len(w.users))], w.version, presence.Busy)
	dies, full := w.rnd.IntN(40) == 0, w.rnd.IntN(20) == 0
	n.guard.low.Store(full)
	err := errDies
	if dies {
		n.loses(w.t, &c)
	} else {
		err = await(w.t, func(done func(error)) { n.Store.Commit(c, done) })
	}
	n.guard.low.Store(false)
	if (err != nil) != (dies || full) {
		w.t.Fatalf("commit: %v", err)
	}
	if err == nil {
		w.stored[seenChange{c.User, c.Version}] = true
	}
	for to := range w.list {
		for to != i && w.rnd.IntN(3) > 0 {
			sent := c
			entry := *c.Feed
			sent.Feed = &entry
			w.flying = append(w.flying, flight{to, sent})
		}
	}
	if dies {
		w.reopen(i)
	}
}

var errDies = errors.New("the process dies")

// loses numbers a change as Commit does, and stores it not: the process dies
// before.
func (n *feedNode) loses(t *testing.T, c *Commit) {
	c.Feed.User, c.Feed.State, c.Feed.Version = c.User, c.State, c.Version
	op, err := n.feedWrite(c.Feed)
	if err != nil {
		t.Fatal(err)
	}
	n.writer.mu.Lock()
	defer n.writer.mu.Unlock()
	n.feeds.number(op)
}

func (w *nodes) deliver() {
	if len(w.flying) == 0 {
		return
	}
	i := w.rnd.IntN(len(w.flying))
	f := w.flying[i]
	w.flying = slices.Delete(w.flying, i, i+1)
	w.absorb(f.to, []Commit{f.c}, nil)
	w.stored[seenChange{f.c.User, f.c.Version}] = true
}

func (w *nodes) absorb(to int, cs []Commit, feed []FeedEntry) {
	w.t.Helper()
	err := await(w.t, func(done func(error)) {
		w.list[to].Absorb(cs, feed, func(_ []bool, err error) { done(err) })
	})
	if err != nil {
		w.t.Fatalf("absorb: %v", err)
	}
}

func (w *nodes) root(i int, shard uint16) uint64 {
	var root uint64
	eventually(w.t, "the digest is known", func() (known bool) {
		root, known = w.list[i].Root(shard)
		return known
	})
	return root
}

// round compares all shards with another node and pulls what differs.
func (w *nodes) round(to, from int) {
	mark := w.list[from].FeedMark()
	for _, shard := range w.shards {
		if w.root(to, shard) != w.root(from, shard) {
			w.pull(to, from, shard)
		}
	}
	w.list[to].FeedComplete(w.list[from].Node(), mark)
}

func (w *nodes) pull(to, from int, shard uint16) {
	var after presence.UserID
	for pages := 0; ; pages++ {
		have, err := w.list[to].Have(shard)
		if err != nil {
			w.t.Fatal(err)
		}
		p, err := w.list[from].Differing(shard, have, after, w.list[to].FeedEnds(shard), 1+w.rnd.IntN(1000))
		if err != nil {
			w.t.Fatal(err)
		}
		w.absorb(to, p.Copies, p.Feed)
		if !p.More {
			return
		}
		if after = p.Next; pages > 10_000 {
			w.t.Fatal("a pull without end")
		}
	}
}

// trim removes some of the oldest entries of a tenant's log.
func (w *nodes) trim() {
	n := w.list[w.rnd.IntN(len(w.list))]
	left := 1 + w.rnd.IntN(30)
	_, err := n.trim([]presence.TenantID{contoso, fabrikam}[w.rnd.IntN(2)], func(time.Time, int64) bool {
		left--
		return left >= 0
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// begin takes the present state as known and follows from here.
func (r *feedReaderAt) begin(w *nodes) {
	r.token = w.list[r.node].FeedEnd(r.tenant).String()
	r.since, r.seen = map[seenChange]bool{}, map[seenChange]bool{}
	for c := range w.stored {
		r.since[c] = true
	}
}

// read takes one page; false when it had to begin anew or there was nothing.
func (r *feedReaderAt) read(w *nodes, limit int) bool {
	token, err := ParseToken(r.token)
	if err != nil {
		w.t.Fatal(err)
	}
	changes, next, err := w.list[r.node].Changes(r.tenant, token, limit)
	if errors.Is(err, ErrResync) {
		r.moved = false
		r.begin(w)
		return false
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if r.moved {
		r.moved = false
		r.hops++
	}
	for _, c := range changes {
		r.seen[seenChange{c.User, c.Version}] = true
		r.token = c.Token.String()
	}
	if len(changes) == 0 || w.rnd.IntN(2) == 0 {
		r.token = next.String()
	}
	return len(changes) > 0
}

func (r *feedReaderAt) check(w *nodes) error {
	for c := range w.stored {
		if c.user.Tenant == r.tenant && !r.since[c] && !r.seen[c] {
			return fmt.Errorf("a reader at node %d never got version %d of %s", r.node, c.version, c.user)
		}
	}
	return nil
}
