package persistence

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/presence"
)

// atNoon is a store for which it is always noon, so that nothing ends
// meanwhile.
func atNoon(t testing.TB) *Store {
	cfg := testConfig(t)
	cfg.NoSync = true
	cfg.Now = func() time.Time { return noon }
	return openStore(t, cfg)
}

func absorb(t testing.TB, s *Store, cs []Commit, feed ...FeedEntry) (changed []bool) {
	t.Helper()
	err := await(t, func(done func(error)) {
		s.Absorb(cs, feed, func(c []bool, err error) { changed = c; done(err) })
	})
	if err != nil {
		t.Fatalf("absorb: %v", err)
	}
	return changed
}

// randomCommit says something of one of some users. Few keys and few times, so
// that commits meet; what it says of a version is always the same.
func randomCommit(r *rand.Rand, users int) Commit {
	ago := func(n int) presence.Version { return versionAt(noon.Add(-time.Duration(r.IntN(n)) * time.Minute)) }
	c := Commit{User: user(contoso, r.IntN(users))}
	for range r.IntN(4) {
		e := randomElement(r)
		e.Stamp = presence.Stamp{Version: ago(15), Node: uint64(1 + r.IntN(2))}
		if r.IntN(10) == 0 { // over long ago: never taken
			e.Key = presence.CallKey(fmt.Sprint("old", r.IntN(3)))
			e.Stamp.Version, e.Expires = versionAt(noon.Add(-72*time.Hour)), noon.Add(-48*time.Hour).UnixMilli()
			e.Value = presence.Call{Parties: 2}
		}
		c.Elements = append(c.Elements, e)
	}
	if r.IntN(3) > 0 {
		c.Version = ago(30)
		n := c.Version.Millis() / 60000
		c.State = presence.State{Availability: presence.Availability(1 + n%8), LastActive: n}
		if n%2 == 0 {
			c.Wake = time.UnixMilli(c.Version.Millis()).Add(time.Hour)
		}
	}
	return c
}

func randomElement(r *rand.Rand) presence.Element {
	target := user(contoso, r.IntN(3))
	n := r.IntN(3)
	all := []presence.Element{
		{Key: presence.SessionKey(fmt.Sprint(n)), Expires: noon.Add(time.Hour).UnixMilli(), Value: presence.Session{Availability: presence.Busy, Leased: r.IntN(2) == 0}},
		{Key: presence.PreferredKey, Value: presence.Preferred{Availability: presence.Away}},
		{Key: presence.NoteKey, Value: presence.Note{Content: fmt.Sprint("note ", n)}},
		{Key: presence.CallKey(fmt.Sprint(n)), Expires: noon.Add(time.Hour).UnixMilli(), Value: presence.Call{Parties: 2 + n}},
		{Key: presence.BlockKey(target), Value: presence.Block{}},
		{Key: presence.WatchKey(fmt.Sprint(n)), Expires: noon.Add(time.Hour).UnixMilli(), Value: presence.NewWatch([]presence.UserID{target})},
	}
	e := all[r.IntN(len(all))]
	if r.IntN(4) == 0 {
		e.Value = nil
	}
	return e
}

// contentsOf are the stored values of all users.
func contentsOf(t testing.TB, s *Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := s.view(func(txn *badger.Txn) error {
		for _, k := range userKinds {
			err := scan(txn, []byte{byte(k)}, func(key, payload []byte) error {
				all[string(key)] = string(payload)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantSame(t testing.TB, a, b *Store) {
	t.Helper()
	one, two := contentsOf(t, a), contentsOf(t, b)
	for _, key := range slices.Sorted(maps.Keys(one)) {
		if one[key] != two[key] {
			t.Errorf("key %q differs:\n%x\n%x", key, one[key], two[key])
		}
	}
	if len(one) != len(two) {
		t.Errorf("%d keys and %d", len(one), len(two))
	}
	if x, y := allRoots(t, a), allRoots(t, b); !maps.Equal(x, y) {
		t.Errorf("roots %x and %x", x, y)
	}
}

// root waits until a shard's digest is known.
func root(t testing.TB, s *Store, shard uint16) (sum uint64) {
	t.Helper()
	eventually(t, "a digest is known", func() (known bool) {
		sum, known = s.Root(shard)
		return known
	})
	return sum
}

// allRoots waits until all digests are known, and gives those that are not 0.
func allRoots(t testing.TB, s *Store) map[uint16]uint64 {
	t.Helper()
	eventually(t, "all digests are known", func() bool { return s.digests.unknown.Load() == 0 })
	all := map[uint16]uint64{}
	for shard := range uint16(presence.Shards) {
		if sum := root(t, s, shard); sum != 0 {
			all[shard] = sum
		}
	}
	return all
}

// The order in which commits come, and how often, and how many share a
// transaction, makes no difference to a bit of what is stored.
func TestCopiesMergeInAnyOrder(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 1))
		commits := make([]Commit, 300)
		for i := range commits {
			commits[i] = randomCommit(r, 8)
		}
		stores := []*Store{atNoon(t), atNoon(t), atNoon(t)}
		for n, s := range stores {
			order := append(slices.Clone(commits), commits[:100*n]...)
			r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			for len(order) > 0 {
				k := min(len(order), 1+r.IntN(1+70*n))
				absorb(t, s, order[:k])
				order = order[k:]
			}
		}
		wantSame(t, stores[0], stores[1])
		wantSame(t, stores[0], stores[2])
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		for i, changed := range absorb(t, stores[0], commits) {
			if changed {
				t.Fatalf("seed %d: commit %d is said to be new at its second coming", seed, i)
			}
		}
	}
}

func TestOlderStateAndElementsNeverReplaceNewerOnes(t *testing.T) {
	s := atNoon(t)
	alice := user(contoso, 1)
	newer := commitOf(alice, 20, presence.Busy)
	newer.Wake = noon
	commit(t, s, newer)
	older := commitOf(alice, 10, presence.Away)
	if changed := absorb(t, s, []Commit{older}); changed[0] {
		t.Error("an older copy is said to be new")
	}
	if got := load(t, s, alice); got.Version != 20 || got.State != newer.State || !got.Wake.Equal(noon) {
		t.Errorf("after an older copy: %+v", got)
	}
	older.Feed = nil
	older.Wake = noon.Add(time.Minute)
	commit(t, s, older) // a commit of this node moves the wake all the same
	got := load(t, s, alice)
	if got.Version != 20 || !got.Wake.Equal(older.Wake) {
		t.Errorf("after an older commit of this node: %+v", got)
	}
	if e, _ := got.Record.Get(presence.SessionKey("desk")); e.Stamp.Version != 20 {
		t.Errorf("the session is %+v", e)
	}
	commitWatch(t, s, alice, watchOf("e", 30, time.Time{}, alice))
	if got := load(t, s, alice); !got.Wake.Equal(older.Wake) {
		t.Errorf("a list has moved the wake to %v", got.Wake)
	}
}

// A session whose lease was renewed without a commit is not taken for dead.
func TestLeasedSessionStaysUntilItIsCleared(t *testing.T) {
	var clock movable
	clock.set(noon)
	cfg := testConfig(t)
	cfg.Now = clock.now
	s := openStore(t, cfg)
	alice := user(contoso, 1)
	leased, _ := session(versionAt(noon), presence.Busy)
	leased.Expires = noon.Add(time.Minute).UnixMilli()
	app := presence.Element{
		Key: presence.AppSessionKey("a"), Stamp: leased.Stamp, Expires: leased.Expires, Value: presence.Session{Availability: presence.Away, App: true},
	}
	commit(t, s, Commit{User: alice, Elements: []presence.Element{leased, app}, Version: 1})
	clock.add(48 * time.Hour)
	note := presence.Element{Key: presence.NoteKey, Stamp: presence.Stamp{Version: versionAt(clock.now())}, Value: presence.Note{Content: "x"}}
	commit(t, s, Commit{User: alice, Elements: []presence.Element{note}, Version: 2})
	got := load(t, s, alice)
	if _, ok := got.Record.Get(leased.Key); !ok {
		t.Error("the leased session is gone")
	}
	if _, ok := got.Record.Get(app.Key); ok {
		t.Error("the session that ended two days ago is still there")
	}
}

// Copies of users with many long lists do not fit into one transaction.
func TestLargeCopiesAreAbsorbedInParts(t *testing.T) {
	s, other := atNoon(t), atNoon(t)
	targets := make([]presence.UserID, presence.MaxTargets)
	for n := range targets {
		targets[n] = user(contoso, n)
	}
	var cs []Commit
	for n := range 4 {
		c := commitOf(user(contoso, n), versionAt(noon), presence.Busy)
		c.Feed = nil
		for k := range 20 {
			c.Elements = append(c.Elements, watchOf(fmt.Sprint("e", k), versionAt(noon), time.Time{}, targets...))
		}
		cs = append(cs, c)
	}
	for i, changed := range absorb(t, s, cs) {
		if !changed {
			t.Errorf("copy %d brought nothing", i)
		}
	}
	for i := range cs {
		c, ok, err := s.Copy(cs[i].User)
		if err != nil || !ok || len(c.Elements) != 21 {
			t.Fatalf("copy %d has %d elements, %v", i, len(c.Elements), err)
		}
		absorb(t, other, []Commit{c})
	}
	wantSame(t, s, other)
}

func TestWholeCommitIsRefusedWhenTheMergeIsTooBig(t *testing.T) {
	s := atNoon(t)
	alice, bob := user(contoso, 1), user(contoso, 2)
	half := func(key presence.Key) presence.Element {
		return presence.Element{
			Key: key, Stamp: presence.Stamp{Version: 1}, Value: presence.Location{PlaceID: string(bytes.Repeat([]byte("x"), maxValue/2))},
		}
	}
	commit(t, s, Commit{User: alice, Version: 1, Elements: []presence.Element{half(presence.LocationKey(presence.Manual))}})
	second := Commit{User: alice, Version: 2, Elements: []presence.Element{half(presence.LocationKey(presence.Automatic)), watchOf("e", 5, time.Time{}, bob)}}
	if err := await(t, func(done func(error)) { s.Commit(second, done) }); err == nil {
		t.Fatal("taken")
	}
	if got := load(t, s, alice); got.Version != 1 {
		t.Errorf("version %d is stored", got.Version)
	}
	if _, found := loadWatch(t, s, alice, "e"); found {
		t.Error("a part of the refused commit is stored")
	}
	err := await(t, func(done func(error)) {
		s.Absorb([]Commit{second, commitOf(bob, 3, presence.Busy)}, nil, func(_ []bool, err error) { done(err) })
	})
	if err == nil || load(t, s, bob).Version != 3 {
		t.Errorf("absorbed with %v, and bob is %+v", err, load(t, s, bob))
	}
}
