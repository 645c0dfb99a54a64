package persistence

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/presence"
)

var fabrikam = presence.TenantID{2}

// announce commits versions from..to of one user, one after the other.
func announce(t testing.TB, s *Store, u presence.UserID, from, to presence.Version) {
	t.Helper()
	for v := from; v <= to; v++ {
		commit(t, s, commitOf(u, v, presence.Busy))
	}
}

func versions(changes []Change) string {
	out := make([]uint64, 0, len(changes))
	for _, c := range changes {
		out = append(out, uint64(c.Version))
	}
	return fmt.Sprint(out)
}

func wantChanges(t *testing.T, s *Store, tenant presence.TenantID, after Token, limit int, want string) Token {
	t.Helper()
	changes, next, err := s.Changes(tenant, after, limit)
	if err != nil {
		t.Fatalf("changes: %v", err)
	}
	if got := versions(changes); got != want {
		t.Fatalf("changes %s, want %s", got, want)
	}
	return next
}

func TestFeedResumesInCommitOrderAcrossReopen(t *testing.T) {
	cfg := testConfig(t)
	cfg.Now = func() time.Time { return noon }
	s := openStore(t, cfg)
	alice, bob := user(contoso, 1), user(contoso, 2)
	announce(t, s, alice, 1, 2)
	announce(t, s, bob, 3, 3)
	quiet := commitOf(bob, 3, presence.Busy)
	quiet.Feed = nil
	commit(t, s, quiet) // not visible: not in the feed
	announce(t, s, user(fabrikam, 1), 9, 9)

	at := wantChanges(t, s, contoso, Token{}, 2, "[1 2]")
	at = wantChanges(t, s, contoso, at, 10, "[3]")
	if at != s.FeedEnd(contoso) {
		t.Error("the last token is not the feed's end")
	}
	closeStore(t, s)

	s = openStore(t, cfg)
	parsed, err := ParseToken(at.String())
	if err != nil || parsed != at {
		t.Fatalf("token came back as %v, %v", parsed, err)
	}
	at = wantChanges(t, s, contoso, parsed, 10, "[]")
	announce(t, s, alice, 4, 4)
	wantChanges(t, s, contoso, at, 10, "[4]")
	wantChanges(t, s, contoso, s.FeedStart(contoso), 10, "[1 2 3 4]")
	wantChanges(t, s, fabrikam, Token{}, 10, "[9]")
	changes, _, err := s.Changes(contoso, Token{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	_, state := session(1, presence.Busy)
	if c := changes[0]; c.User != alice || c.State != state || !c.At.Equal(noon) {
		t.Errorf("first change is %+v", c)
	}
	wantChanges(t, s, contoso, changes[0].Token, 10, "[2 3 4]")
}

func TestTokenOfAnotherFeedIsRefused(t *testing.T) {
	s, other := openStore(t, testConfig(t)), openStore(t, testConfig(t))
	announce(t, s, user(contoso, 1), 1, 3)
	announce(t, other, user(contoso, 1), 1, 3)
	end := s.FeedEnd(contoso)
	ahead, between := end, end
	ahead.seq++
	between.seq = s.FeedStart(contoso).seq + 1
	if _, _, err := s.Changes(contoso, between, 1); !errors.Is(err, ErrResync) {
		t.Errorf("a place between two changes: %v, want ErrResync", err)
	}
	for name, tt := range map[string]struct {
		tenant presence.TenantID
		token  Token
		want   error
	}{
		"of another tenant":           {fabrikam, end, ErrToken},
		"of another node":             {contoso, other.FeedEnd(contoso), ErrResync},
		"beyond the end":              {contoso, ahead, ErrResync},
		"of a node that knows no one": {contoso, openStore(t, testConfig(t)).FeedEnd(contoso), ErrResync},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := s.Changes(tt.tenant, tt.token, 1); !errors.Is(err, tt.want) {
				t.Errorf("changes answered %v, want %v", err, tt.want)
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := s.FeedWait(ctx, tt.tenant, tt.token); !errors.Is(err, tt.want) {
				t.Errorf("wait answered %v, want %v", err, tt.want)
			}
		})
	}
}

// A number that a crash took back is not given again, so a token from before
// it never points into other changes.
func TestTokenFromLostCommitGetsResync(t *testing.T) {
	cfg := testConfig(t)
	s := openStore(t, cfg)
	announce(t, s, user(contoso, 1), 1, 2)
	lost := s.FeedEnd(contoso)
	lost.seq += 2 // as if two more had been read before the machine lost them
	closeStore(t, s)
	s = openStore(t, cfg)
	announce(t, s, user(contoso, 1), 5, 9)
	if _, _, err := s.Changes(contoso, lost, 10); !errors.Is(err, ErrResync) {
		t.Fatalf("changes answered %v, want ErrResync", err)
	}
	wantChanges(t, s, contoso, Token{}, 10, "[1 2 5 6 7 8 9]")
}

func TestHoleInTheFeedIsNeverPassedOver(t *testing.T) {
	fatal := make(chan error, 1)
	cfg := testConfig(t)
	cfg.Fatal = func(err error) { fatal <- err }
	s := openStore(t, cfg)
	announce(t, s, user(contoso, 1), 1, 5)
	changes, _, err := s.Changes(contoso, Token{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	hole := changes[2].Token
	err = s.db.Update(func(txn *badger.Txn) error { return txn.Delete(feedKey(contoso, hole.node, hole.seq)) })
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Changes(contoso, changes[1].Token, 10); !errors.Is(err, ErrResync) {
		t.Errorf("reading on at the hole answered %v, want ErrResync", err)
	}
	if _, _, err := s.Changes(contoso, Token{}, 10); !errors.Is(err, ErrCorrupt) {
		t.Errorf("reading across the hole answered %v, want ErrCorrupt", err)
	}
	if err := receive(t, fatal); !errors.Is(err, ErrCorrupt) {
		t.Errorf("fatal got %v", err)
	}
}

func TestLiveReadersFollowEveryChange(t *testing.T) {
	const changes, readers = 400, 4
	s := openStore(t, testConfig(t))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() { followAll(ctx, t, s, changes) })
	}
	var acks sync.WaitGroup
	for v := presence.Version(1); v <= changes; v++ {
		acks.Add(2)
		s.Commit(commitOf(user(contoso, 1), v, presence.Busy), func(error) { acks.Done() })
		s.Commit(commitOf(user(fabrikam, 1), v, presence.Busy), func(error) { acks.Done() })
	}
	acks.Wait()
	wg.Wait()
}

func followAll(ctx context.Context, t *testing.T, s *Store, until presence.Version) {
	var (
		at   Token
		seen presence.Version
	)
	for seen < until {
		if err := s.FeedWait(ctx, contoso, at); err != nil {
			t.Errorf("wait after %d: %v", seen, err)
			return
		}
		changes, next, err := s.Changes(contoso, at, 7)
		if err != nil || len(changes) == 0 {
			t.Errorf("after %d: %d changes, %v", seen, len(changes), err)
			return
		}
		for _, c := range changes {
			if seen++; c.Version != seen || c.User.Tenant != contoso {
				t.Errorf("got %d of %s, want %d", c.Version, c.User, seen)
				return
			}
		}
		at = next
	}
}

func TestFeedWaitEndsWithItsContextAndWithTheStore(t *testing.T) {
	s := openStore(t, testConfig(t))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.FeedWait(ctx, contoso, Token{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.FeedWait(context.Background(), contoso, Token{}) }()
	closeStore(t, s)
	if err := receive(t, ended); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add("")
	f.Add("AQ")
	f.Add(Token{tenant: contoso, node: 1, seq: 2}.String())
	f.Add(Token{node: ^uint64(0), seq: ^uint64(0), marks: packMarks([]nodeMark{{1, 2}, {3, 4}}, 5)}.String())
	f.Add(Token{node: 3, marks: packMarks([]nodeMark{{1, 2}, {3, 4}}, 5)}.String())
	f.Fuzz(func(t *testing.T, s string) {
		token, err := ParseToken(s)
		if err != nil {
			if !errors.Is(err, ErrToken) || token != (Token{}) {
				t.Fatalf("%q gave %v and %v", s, token, err)
			}
			return
		}
		if token.String() != s {
			t.Fatalf("%q reads as %q", s, token.String())
		}
	})
}

func FuzzFeedEntry(f *testing.F) {
	s := Store{cfg: Config{Now: func() time.Time { return noon }}}
	c := commitOf(user(contoso, 1), 1, presence.Busy)
	w, err := s.feedWrite(&FeedEntry{User: c.User, State: c.State, Version: c.Version})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(w.value[sumSize:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		walk := feedWalk{token: Token{tenant: contoso}}
		if err := walk.take(1, payload); err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrResync) {
			t.Fatalf("unexpected error %v", err)
		}
	})
}
