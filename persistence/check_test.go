package persistence

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/presence"
)

func checked(t *testing.T, s *Store, c CheckConfig) CheckReport {
	t.Helper()
	r, err := s.Check(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCheckCounts(t *testing.T) {
	s := openStore(t, testConfig(t))
	now := time.Now()
	for n := range 10 {
		c := rich(user(contoso, n), now)
		if n < 4 {
			c.Feed = &FeedEntry{At: now}
		}
		commit(t, s, c)
	}
	over := rich(user(contoso, 11), now)
	over.Elements = []presence.Element{{
		Key: presence.CallKey("c"), Stamp: presence.Stamp{Version: over.Version, Node: 7},
		Expires: now.Add(-time.Minute).UnixMilli(), Value: presence.Call{Parties: 2},
	}}
	commit(t, s, over)
	storedPolicy(t, s, contoso, 1, time.Minute)
	shards := map[uint16]bool{user(contoso, 11).Shard(): true}
	for n := range 10 {
		shards[user(contoso, n).Shard()] = true
	}
	r := checked(t, s, CheckConfig{})
	want := CheckReport{
		Node: s.Node(), Shards: len(shards), Users: 11, Sessions: 10, Leased: 10, Lists: 10, Blocks: 10,
		Expired: 1, Cleared: 30, Policies: 1, Feed: 4, Waking: 11,
	}
	if r.Wrong() || r.Users != want.Users || r.Sessions != want.Sessions || r.Leased != want.Leased || r.Lists != want.Lists ||
		r.Blocks != want.Blocks || r.Expired != want.Expired || r.Cleared != want.Cleared || r.Policies != want.Policies ||
		r.Waking != want.Waking || r.Feed != want.Feed || r.Shards != want.Shards || r.Node != want.Node {
		t.Errorf("report %+v, want %+v", r, want)
	}
}

func TestCheckFindsGhosts(t *testing.T) {
	s := openStore(t, testConfig(t))
	now := time.Now()
	alice, bob, carol := user(contoso, 1), user(contoso, 2), user(contoso, 3)
	forgotten, late, well := rich(alice, now), rich(bob, now), rich(carol, now)
	forgotten.Wake = time.Time{}
	late.Wake = now.Add(-time.Hour)
	for _, c := range []Commit{forgotten, late, well} {
		commit(t, s, c)
	}
	nobody := func(presence.UserID) bool { return false }
	all := func(uint16) bool { return true }
	for name, tt := range map[string]struct {
		c    CheckConfig
		want []presence.UserID
	}{
		"nobody serves it":       {CheckConfig{}, []presence.UserID{alice}}, // the start wakes bob
		"served, nobody awake":   {CheckConfig{Mine: all, Awake: nobody}, []presence.UserID{alice, bob}},
		"served, bob is awake":   {CheckConfig{Mine: all, Awake: func(u presence.UserID) bool { return u == bob }}, []presence.UserID{alice}},
		"served by another node": {CheckConfig{Mine: func(uint16) bool { return false }, Awake: nobody}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := checked(t, s, tt.c)
			var want []string
			for _, u := range tt.want {
				want = append(want, u.String())
			}
			slices.Sort(r.GhostUsers)
			if r.Ghosts != len(want) || !slices.Equal(r.GhostUsers, want) || r.Wrong() != (len(want) > 0) {
				t.Errorf("%d ghosts %v, want %v", r.Ghosts, r.GhostUsers, want)
			}
		})
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	s := openStore(t, testConfig(t))
	u := user(contoso, 1)
	commit(t, s, rich(u, time.Now()))
	commit(t, s, rich(user(contoso, 2), time.Now().Add(time.Hour)))
	orphan := []byte("zkey")
	err := s.db.Update(func(txn *badger.Txn) error {
		return txn.Set(orphan, seal(orphan, make([]byte, sumSize+3)))
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := checked(t, s, CheckConfig{}); r.WrongDigests != 0 {
		t.Fatalf("report %+v", r)
	}
	s.digests.roots[u.Shard()].Add(1)
	r := checked(t, s, CheckConfig{})
	if !r.Wrong() || r.Orphans != 1 || len(r.OrphanKeys) != 1 || r.Ahead != 1 || r.AheadUsers[0] != user(contoso, 2).String() ||
		r.WrongDigests != 1 || !slices.Equal(r.WrongShards, []uint16{u.Shard()}) {
		t.Errorf("report %+v", r)
	}
}

// A check of a store that is written to meanwhile finds nothing.
func TestCheckWhileCommitsGoOn(t *testing.T) {
	s := openStore(t, testConfig(t))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			done := make(chan error, 1)
			s.Commit(rich(user(contoso, n%50), time.Now()), func(err error) { done <- err })
			if err := <-done; err != nil {
				t.Error(err)
				return
			}
		}
	})
	users := 0
	for end := time.Now().Add(patience); users < 50 && time.Now().Before(end); {
		r := checked(t, s, CheckConfig{})
		if users = r.Users; r.Wrong() {
			t.Errorf("report %+v", r)
		}
	}
	if users < 50 {
		t.Errorf("%d users were stored meanwhile", users)
	}
	close(stop)
	wg.Wait()
}
