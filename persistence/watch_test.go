package persistence

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/presence"
)

func watchOf(endpoint string, v presence.Version, expires time.Time, targets ...presence.UserID) presence.Element {
	e := presence.Element{Key: presence.WatchKey(endpoint), Stamp: presence.Stamp{Version: v, Node: 7}}
	if targets != nil {
		e.Value = presence.NewWatch(targets)
	}
	if !expires.IsZero() {
		e.Expires = expires.UnixMilli()
	}
	return e
}

func versionAt(t time.Time) presence.Version { return presence.Version(t.UnixMilli()) << 16 }

func commitWatch(t *testing.T, s *Store, u presence.UserID, e presence.Element) {
	t.Helper()
	commit(t, s, Commit{User: u, Elements: []presence.Element{e}})
}

func loadWatch(t *testing.T, s *Store, u presence.UserID, endpoint string) (presence.Element, bool) {
	t.Helper()
	var (
		got   presence.Element
		found bool
	)
	err := await(t, func(done func(error)) {
		s.LoadWatch(u, endpoint, func(e presence.Element, ok bool, err error) { got, found = e, ok; done(err) })
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, found
}

func endpoints(t *testing.T, s *Store, u presence.UserID) []string {
	t.Helper()
	var got []string
	err := await(t, func(done func(error)) {
		s.Endpoints(u, func(names []string, err error) { got = names; done(err) })
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWatchListsSurviveReopenAndShowWhileLive(t *testing.T) {
	now := time.Now()
	cfg := testConfig(t)
	cfg.Now = func() time.Time { return now }
	s := openStore(t, cfg)
	alice, bob := user(contoso, 1), user(contoso, 2)
	live := watchOf("live", 1, now.Add(time.Hour), bob, alice)
	commitWatch(t, s, alice, live)
	commitWatch(t, s, alice, watchOf("expiring", 1, now.Add(time.Minute), bob))
	commitWatch(t, s, alice, watchOf("cleared", 1, time.Time{}, bob))
	commitWatch(t, s, alice, watchOf("cleared", versionAt(now), time.Time{}))
	commitWatch(t, s, bob, watchOf("other", 1, time.Time{}, alice))
	if got := endpoints(t, s, alice); !slices.Equal(got, []string{"expiring", "live"}) {
		t.Errorf("endpoints %v", got)
	}
	closeStore(t, s)

	now = now.Add(2 * time.Minute)
	s = openStore(t, cfg)
	if got := endpoints(t, s, alice); !slices.Equal(got, []string{"live"}) {
		t.Errorf("endpoints two minutes later %v", got)
	}
	got, found := loadWatch(t, s, alice, "live")
	if diff := cmp.Diff(live, got); !found || diff != "" {
		t.Errorf("list (-want +got, found %t):\n%s", found, diff)
	}
	if got, found := loadWatch(t, s, alice, "cleared"); !found || got.Value != nil || got.Stamp.Version != versionAt(now.Add(-2*time.Minute)) {
		t.Errorf("the cleared list is %v %t, want its newest register", got, found)
	}
	if _, found := loadWatch(t, s, alice, "other"); found {
		t.Error("another user's endpoint is found")
	}
}

func TestOnlyKnownKeysAreStored(t *testing.T) {
	s := openStore(t, testConfig(t))
	for _, key := range []presence.Key{"", "/", "watch", "watch/", "block", "block/", "session", "call/", "note/x", "location", "other/x",
		presence.WatchKey(strings.Repeat("x", maxElementKey))} {
		c := Commit{User: user(contoso, 1), Elements: []presence.Element{{Key: key}}}
		if err := await(t, func(done func(error)) { s.Commit(c, done) }); !errors.Is(err, presence.ErrValue) {
			t.Errorf("key %q answered %v, want ErrValue", key, err)
		}
	}
	for _, u := range []presence.UserID{{}, {Tenant: contoso}, {Tenant: contoso, MRI: "8:x\x00y"}, {MRI: "8:x"}} {
		c := Commit{User: u, Version: 1}
		if err := await(t, func(done func(error)) { s.Commit(c, done) }); !errors.Is(err, presence.ErrBadID) {
			t.Errorf("user %q answered %v, want ErrBadID", u.MRI, err)
		}
	}
}

func TestNewerPoliciesReplaceOlderOnesPerTenant(t *testing.T) {
	cfg := testConfig(t)
	s := openStore(t, cfg)
	fabrikam := presence.TenantID{2}
	first, second := presence.DefaultPolicy(contoso), presence.DefaultPolicy(contoso)
	second.Version, second.Privacy, second.Federation = 9, true, presence.AllowList
	second.List = []presence.TenantID{fabrikam}
	other, older := presence.DefaultPolicy(fabrikam), first
	older.Version = 8
	for _, p := range []presence.Policy{first, other, second, older} {
		if err := await(t, func(done func(error)) { s.CommitPolicy(p, done) }); err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, s)
	s = openStore(t, cfg)
	got, err := s.Policies()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]presence.Policy{second, other}, got); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
}
