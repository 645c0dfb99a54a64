package persistence

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/messages"
	"rollcall/persistence/merge"
	"rollcall/presence"
)

// recomputed are the digests of all shards, from what is stored, decoded.
func recomputed(t testing.TB, s *Store) map[uint16]uint64 {
	t.Helper()
	sums := map[uint16]uint64{}
	err := s.view(func(txn *badger.Txn) error {
		for _, k := range userKinds {
			err := scan(txn, []byte{byte(k)}, func(key, payload []byte) error {
				u := ownerID(ownerIn(key))
				var all merge.User
				if k == kindPresence {
					stored, err := messages.DecodeStored(payload)
					if err != nil {
						return err
					}
					all = merge.User{Record: stored.Record, Version: stored.Version}
				} else {
					e, err := element(payload)
					if err != nil {
						return err
					}
					all.Record.Merge(e)
				}
				sums[u.Shard()] += all.Digest(u.Hash())
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
	for shard, sum := range sums {
		if sums[shard] = sum + s.feeds.root(shard); sum == 0 {
			delete(sums, shard)
		}
	}
	return sums
}

func wantRoots(t testing.TB, s *Store) {
	t.Helper()
	if got, want := allRoots(t, s), recomputed(t, s); !maps.Equal(got, want) {
		t.Fatalf("roots %x, what is stored has %x", got, want)
	}
}

// The digests follow whatever happens, also while shards are read for the
// first time, and are the same after a restart.
func TestDigestsFollowWhatIsStored(t *testing.T) {
	var clock movable
	clock.set(noon)
	cfg := testConfig(t)
	cfg.NoSync = true
	cfg.Now = clock.now
	r := rand.New(rand.NewPCG(7, 7))
	var before map[uint16]uint64
	for range 6 {
		s := openStore(t, cfg)
		if got := allRoots(t, s); before != nil && !maps.Equal(got, before) {
			t.Fatalf("after a restart the roots are %x, were %x", got, before)
		}
		closeStore(t, s)
		s = openStore(t, cfg)
		for range 200 { // with the first look at the shards under way
			randomStep(t, s, r)
		}
		wantRoots(t, s)
		clock.add(13 * time.Hour)
		randomStep(t, s, r)
		for shard := range uint16(presence.Shards) {
			s.pruneShard(shard)
		}
		commit(t, s, Commit{User: user(contoso, 0), Version: versionAt(clock.now())}) // behind the last removal
		wantRoots(t, s)
		before = allRoots(t, s)
		closeStore(t, s)
	}
}

func randomStep(t testing.TB, s *Store, r *rand.Rand) {
	t.Helper()
	c := randomCommit(r, 40)
	switch r.IntN(10) {
	case 0:
		root, _ := s.Root(c.User.Shard())
		err := await(t, func(done func(error)) { s.Drop(c.User.Shard(), root, func(_ bool, err error) { done(err) }) })
		if err != nil {
			t.Fatal(err)
		}
	case 1, 2, 3:
		cs := []Commit{c, randomCommit(r, 40), randomCommit(r, 40), c}
		absorb(t, s, cs)
	default:
		c.Feed = &FeedEntry{}
		commit(t, s, c)
	}
}

// A shard that is larger than a piece is read between commits that change it on
// both sides of where the reading is.
func TestShardIsReadWhileItChanges(t *testing.T) {
	cfg := testConfig(t)
	cfg.NoSync = true
	s := openStore(t, cfg)
	shard, users := crowd(3000)
	var cs []Commit
	for i, u := range users {
		if i%2 == 0 {
			cs = append(cs, Commit{User: u, Version: 5, Elements: []presence.Element{watchOf("e", versionAt(time.Now()), time.Time{}, u)}})
		}
	}
	absorb(t, s, cs)
	closeStore(t, s)
	cfg.faults.piece = 1
	s = openStore(t, cfg)
	var (
		wg     sync.WaitGroup
		slots  = make(chan struct{}, 64)
		during int
	)
	for ; ; during++ {
		if _, known := s.Root(shard); known {
			break
		}
		u := users[(during*7919)%len(users)]
		c := Commit{User: u, Version: presence.Version(10 + during), Elements: []presence.Element{watchOf("e", versionAt(time.Now()), time.Time{}, u)}}
		slots <- struct{}{}
		wg.Go(func() {
			commit(t, s, c)
			<-slots
		})
	}
	wg.Wait()
	if during < 100 {
		t.Fatalf("only %d commits came while the shard was read", during)
	}
	want := recomputed(t, s)[shard]
	if got := root(t, s, shard); got != want {
		t.Fatalf("root %x, what is stored has %x", got, want)
	}
}

// crowd finds users of one shard.
func crowd(n int) (shard uint16, users []presence.UserID) {
	shard = user(contoso, 0).Shard()
	mri := make([]byte, 0, 16)
	for i := int64(0); len(users) < n; i++ {
		mri = strconv.AppendInt(append(mri[:0], "8:u"...), i, 10)
		if presence.HashUser(contoso[:], mri)%presence.Shards == uint64(shard) {
			users = append(users, presence.UserID{Tenant: contoso, MRI: string(mri)})
		}
	}
	return shard, users
}

func drop(t testing.TB, s *Store, shard uint16, root uint64) (dropped bool) {
	t.Helper()
	err := await(t, func(done func(error)) {
		s.Drop(shard, root, func(d bool, err error) { dropped = d; done(err) })
	})
	if err != nil {
		t.Fatal(err)
	}
	return dropped
}

func TestDropRemovesAShardThatIsStillTheSame(t *testing.T) {
	cfg := testConfig(t)
	cfg.NoSync = true
	s := openStore(t, cfg)
	shard, users := crowd(2*dropKeys + 10)
	var cs []Commit
	for _, u := range users {
		cs = append(cs, Commit{User: u, Version: 5})
	}
	announce(t, s, users[0], 1, 1)
	absorb(t, s, cs)
	other := user(contoso, 1)
	commit(t, s, commitOf(other, 5, presence.Busy))
	was := root(t, s, shard)
	commit(t, s, Commit{User: users[3], Version: 6})
	if drop(t, s, shard, was) || !load(t, s, users[0]).Found {
		t.Fatal("a shard that has changed is dropped")
	}
	if !drop(t, s, shard, root(t, s, shard)) {
		t.Fatal("not dropped")
	}
	if got := root(t, s, shard); got != 0 {
		t.Errorf("the empty shard has root %x", got)
	}
	if shards, err := s.Shards(); err != nil || !slices.Equal(shards, []uint16{other.Shard()}) {
		t.Errorf("shards %v, %v", shards, err)
	}
	wantChanges(t, s, contoso, Token{}, 10, "[1 5]") // the log stays
	commit(t, s, commitOf(users[0], 3, presence.Away))
	if got := load(t, s, users[0]); got.Version != 3 {
		t.Errorf("after the drop version %d was remembered", got.Version)
	}
	wantRoots(t, s)
	for _, bad := range []uint16{presence.Shards, 65535} {
		err := await(t, func(done func(error)) { s.Drop(bad, 0, func(_ bool, err error) { done(err) }) })
		if !errors.Is(err, presence.ErrValue) {
			t.Errorf("shard %d: %v", bad, err)
		}
		if _, known := s.Root(bad); known {
			t.Errorf("shard %d has a root", bad)
		}
	}
}

// What comes between two transactions of a drop ends it.
func TestDropStopsAtWhatComesMeanwhile(t *testing.T) {
	hold := newHeld()
	cfg := testConfig(t)
	s := openStore(t, cfg)
	shard, users := crowd(dropKeys + 10)
	var cs []Commit
	for _, u := range users {
		cs = append(cs, Commit{User: u, Version: 5})
	}
	absorb(t, s, cs)
	closeStore(t, s)
	cfg.faults.commit = hold.commit
	s = openStore(t, cfg)
	dropped := make(chan bool, 1)
	s.Drop(shard, root(t, s, shard), func(d bool, err error) { dropped <- d && err == nil })
	receive(t, hold.entered)
	s.Commit(Commit{User: users[0], Version: 7}, func(error) {})
	close(hold.release)
	if receive(t, dropped) {
		t.Error("dropped all the same")
	}
	if got := load(t, s, users[0]); got.Version != 7 {
		t.Errorf("version %d is stored, want what came meanwhile", got.Version)
	}
	wantRoots(t, s)
}

// Lists go when their time has come, and the digests with them.
func TestSweepRemovesWhatIsLongOver(t *testing.T) {
	var clock movable
	clock.set(noon)
	cfg := testConfig(t)
	cfg.Now = clock.now
	s := openStore(t, cfg)
	alice, bob := user(contoso, 1), user(contoso, 2)
	commitWatch(t, s, alice, watchOf("expired", versionAt(clock.now()), noon.Add(time.Minute), bob))
	commitWatch(t, s, alice, watchOf("cleared", versionAt(clock.now()), noon.Add(time.Minute)))
	commitWatch(t, s, alice, watchOf("live", versionAt(clock.now()), noon.Add(30*24*time.Hour), bob))
	call := presence.Element{
		Key: presence.CallKey("1"), Stamp: presence.Stamp{Version: versionAt(clock.now())}, Expires: noon.Add(time.Hour).UnixMilli(), Value: presence.Call{Parties: 2},
	}
	commit(t, s, Commit{User: alice, Elements: []presence.Element{call}, Version: 1, Wake: noon})
	for _, step := range []struct {
		at   time.Duration
		want []presence.Key
	}{
		{time.Hour, []presence.Key{"call/1", "watch/cleared", "watch/expired", "watch/live"}},
		{time.Hour + time.Minute, []presence.Key{"call/1", "watch/cleared", "watch/live"}},
		{25 * time.Hour, []presence.Key{"watch/cleared", "watch/live"}},
		{merge.KeepCleared, []presence.Key{"watch/live"}},
	} {
		clock.set(noon.Add(step.at))
		s.pruneShard(alice.Shard())
		commit(t, s, Commit{User: bob, Version: versionAt(clock.now())}) // behind the removal
		c, _, err := s.Copy(alice)
		if err != nil {
			t.Fatal(err)
		}
		var keys []presence.Key
		for _, e := range c.Elements {
			keys = append(keys, e.Key)
		}
		if !slices.Equal(keys, step.want) {
			t.Errorf("after %v: %v, want %v", step.at, keys, step.want)
		}
		if !c.Wake.Equal(noon) || c.Version != 1 {
			t.Errorf("after %v: version %d, wake %v", step.at, c.Version, c.Wake)
		}
		wantRoots(t, s)
	}
}
