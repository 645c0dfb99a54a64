package persistence

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/presence"
)

// pullAll brings a shard from one store to another.
func pullAll(t *testing.T, to, from *Store, shard uint16) {
	t.Helper()
	var after presence.UserID
	for more := true; more; {
		knownRoot(t, from, shard)
		have, err := to.Have(shard)
		if err != nil {
			t.Fatal(err)
		}
		p, err := from.Differing(shard, have, after, to.FeedEnds(shard), 1000)
		if err != nil {
			t.Fatal(err)
		}
		err = await(t, func(done func(error)) { to.Absorb(p.Copies, p.Feed, func(_ []bool, err error) { done(err) }) })
		if err != nil {
			t.Fatal(err)
		}
		after, more = p.Next, p.More
	}
}

func clocked(t *testing.T) (Config, *atomic.Int64) {
	var clock atomic.Int64
	clock.Store(noon.UnixMilli())
	cfg := testConfig(t)
	cfg.NoSync = true
	cfg.Now = func() time.Time { return time.UnixMilli(clock.Load()) }
	return cfg, &clock
}

// trimAll removes all of a tenant's log.
func trimAll(t *testing.T, s *Store) {
	t.Helper()
	if _, err := s.trim(contoso, func(time.Time, int64) bool { return true }); err != nil {
		t.Fatal(err)
	}
}

func TestTokenIsGoodAtANodeThatHasMet(t *testing.T) {
	cfg, clock := clocked(t)
	a, b := openStore(t, cfg), openStore(t, func() Config { c, _ := clocked(t); c.Now = cfg.Now; return c }())
	alice := user(contoso, 1)
	announce(t, a, alice, 1, 3)
	early := a.FeedEnd(contoso)
	if _, _, err := b.Changes(contoso, early, 9); !errors.Is(err, ErrResync) {
		t.Errorf("before the nodes have met: %v, want ErrResync", err)
	}
	pullAll(t, b, a, alice.Shard())
	a.FeedComplete(b.Node(), b.FeedMark())
	met := a.FeedEnd(contoso)
	clock.Add(1000)
	announce(t, b, alice, 4, 5)
	at := wantChanges(t, b, contoso, met, 9, "[4 5]")
	if _, _, err := b.Changes(contoso, early, 9); !errors.Is(err, ErrResync) {
		t.Errorf("a token from before the nodes met: %v, want ErrResync", err)
	}
	announce(t, a, alice, 6, 6)
	wantChanges(t, a, contoso, at, 9, "[6]") // what b knows of a comes from the first token
	parsed, err := ParseToken(at.String())
	if err != nil || parsed != at {
		t.Errorf("token came back as %v, %v", parsed, err)
	}
	if n := len(at.String()); n > 120 {
		t.Errorf("a token of two nodes has %d characters", n)
	}
}

// What a node could not get any more is told to the readers that it had.
func TestWhatOthersHaveRemovedIsNoSilentGap(t *testing.T) {
	cfg, clock := clocked(t)
	cfg2, _ := clocked(t)
	cfg2.Now = cfg.Now
	a, b := openStore(t, cfg), openStore(t, cfg2)
	alice := user(contoso, 1)
	announce(t, b, alice, 1, 1)
	reader := b.FeedEnd(contoso)
	clock.Add(time.Hour.Milliseconds())
	announce(t, a, alice, 2, 4)
	clock.Add(time.Hour.Milliseconds())
	trimAll(t, a)
	announce(t, a, alice, 5, 6)
	pullAll(t, b, a, alice.Shard())
	if _, _, err := b.Changes(contoso, reader, 9); !errors.Is(err, ErrResync) {
		t.Errorf("over the gap: %v, want ErrResync", err)
	}
	if err := b.FeedWait(t.Context(), contoso, reader); !errors.Is(err, ErrResync) {
		t.Errorf("waiting over the gap: %v, want ErrResync", err)
	}
	wantChanges(t, b, contoso, b.FeedStart(contoso), 9, "[5 6]")
	if a, b := a.FeedEnds(alice.Shard()), b.FeedEnds(alice.Shard()); !slices.Contains(b, a[0]) {
		t.Errorf("ends %v and %v", a, b)
	}
	after := b.FeedEnd(contoso)
	closeStore(t, b)
	b = openStore(t, cfg2)
	if _, _, err := b.Changes(contoso, reader, 9); !errors.Is(err, ErrResync) {
		t.Errorf("over the gap, reopened: %v, want ErrResync", err)
	}
	wantChanges(t, b, contoso, after, 9, "[]")
	pullAll(t, a, b, alice.Shard())
	if knownRoot(t, b, alice.Shard()) != knownRoot(t, a, alice.Shard()) {
		t.Error("the digests differ")
	}
}

func knownRoot(t *testing.T, s *Store, shard uint16) (root uint64) {
	t.Helper()
	eventually(t, "the digest is known", func() (known bool) { root, known = s.Root(shard); return known })
	return root
}

// A node that is filled gets what is left of old logs; that is no gap for those
// who began to read there.
func TestFillingANewNodeVoidsNoToken(t *testing.T) {
	cfg, clock := clocked(t)
	a := openStore(t, cfg)
	alice := user(contoso, 1)
	announce(t, a, alice, 1, 3)
	trimAll(t, a)
	clock.Add(time.Hour.Milliseconds())
	cfg2, _ := clocked(t)
	cfg2.Now = cfg.Now
	b := openStore(t, cfg2)
	reader := b.FeedEnd(contoso)
	announce(t, a, alice, 4, 4)
	pullAll(t, b, a, alice.Shard())
	wantChanges(t, b, contoso, reader, 9, "[4]")
}

func TestEndsOfDeadChainsAreForgotten(t *testing.T) {
	cfg, clock := clocked(t)
	cfg.Retention.Age = 365 * 24 * time.Hour
	s := openStore(t, cfg)
	alice := user(contoso, 1)
	announce(t, s, alice, 1, 1)
	trimAll(t, s)
	announce(t, s, user(contoso, 2), 2, 2)
	clock.Add((chainsFor + time.Hour).Milliseconds())
	if err := s.forget(); err != nil {
		t.Fatal(err)
	}
	if ends := s.FeedEnds(alice.Shard()); len(ends) != 0 || s.feeds.root(alice.Shard()) != 0 {
		t.Errorf("ends %v, root %x", ends, s.feeds.root(alice.Shard()))
	}
	var e FeedEntry
	c := commitOf(alice, 3, presence.Busy)
	c.Feed = &e
	commit(t, s, c)
	if e.Prev != 0 {
		t.Errorf("a forgotten chain goes on after %d", e.Prev)
	}
	trimAll(t, s)
	clock.Add((2 * chainsFor).Milliseconds())
	if err := s.forget(); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = openStore(t, cfg)
	for shard := range uint16(presence.Shards) {
		if ends := s.FeedEnds(shard); len(ends) != 0 {
			t.Errorf("ends of shard %d after reopening: %v", shard, ends)
		}
	}
}

// An entry whose predecessor died with its process is kept after all.
func TestEntryWithoutItsPredecessorIsLateAndNotLost(t *testing.T) {
	cfg, clock := clocked(t)
	s := openStore(t, cfg)
	c := commitOf(user(contoso, 1), 7, presence.Busy)
	c.Feed = &FeedEntry{Origin: 9, Seq: position(noon) + 2, Prev: position(noon) + 1, At: noon}
	absorb := func() {
		t.Helper()
		if err := await(t, func(done func(error)) { s.Absorb([]Commit{c}, nil, func(_ []bool, err error) { done(err) }) }); err != nil {
			t.Fatal(err)
		}
	}
	absorb()
	absorb()
	begin := s.FeedStart(contoso)
	for range 2 {
		if err := s.settle(); err != nil {
			t.Fatal(err)
		}
		wantChanges(t, s, contoso, begin, 9, "[]")
		closeStore(t, s)
		s = openStore(t, cfg)
	}
	clock.Add((lateFor + time.Second).Milliseconds())
	for range 2 {
		if err := s.settle(); err != nil {
			t.Fatal(err)
		}
		wantChanges(t, s, contoso, begin, 9, "[7]")
	}
}
