package persistence

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/presence"
)

// eventually runs check until it is true; the store's own sweep makes it so.
func eventually(t testing.TB, what string, check func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !check() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

func TestOldChangesAreRemovedAndTheirReadersResync(t *testing.T) {
	var clock atomic.Int64
	clock.Store(noon.UnixMilli())
	cfg := testConfig(t)
	cfg.Now = func() time.Time { return time.UnixMilli(clock.Load()) }
	cfg.Retention.Age = time.Hour
	cfg.faults.every = time.Millisecond
	s := openStore(t, cfg)
	announce(t, s, user(contoso, 1), 1, 3)
	first := s.FeedEnd(contoso)
	clock.Add(30 * time.Minute.Milliseconds())
	announce(t, s, user(contoso, 1), 4, 5)
	wantChanges(t, s, contoso, Token{}, 10, "[1 2 3 4 5]")

	clock.Add(31 * time.Minute.Milliseconds())
	eventually(t, "the first three are removed", func() bool { return s.FeedStart(contoso) == first })
	wantChanges(t, s, contoso, first, 10, "[4 5]")
	early := first
	early.seq--
	for _, token := range []Token{{}, early} {
		if _, _, err := s.Changes(contoso, token, 10); !errors.Is(err, ErrResync) {
			t.Errorf("reading from %d answered %v, want ErrResync", token.seq, err)
		}
		if err := s.FeedWait(t.Context(), contoso, token); !errors.Is(err, ErrResync) {
			t.Errorf("waiting after %d answered %v, want ErrResync", token.seq, err)
		}
	}

	clock.Add(time.Hour.Milliseconds())
	end := s.FeedEnd(contoso)
	eventually(t, "the tail is gone as well", func() bool { return s.FeedStart(contoso) == end })
	if _, _, err := s.Changes(contoso, first, 10); !errors.Is(err, ErrResync) {
		t.Errorf("with the tail gone: %v, want ErrResync", err)
	}
	wantChanges(t, s, contoso, end, 10, "[]") // missed nothing
	closeStore(t, s)

	s = openStore(t, cfg)
	if _, _, err := s.Changes(contoso, first, 10); !errors.Is(err, ErrResync) {
		t.Errorf("with the tail gone, reopened: %v, want ErrResync", err)
	}
	announce(t, s, user(contoso, 1), 6, 6)
	wantChanges(t, s, contoso, end, 10, "[6]")
}

func TestTheLargestTenantGivesWayFirst(t *testing.T) {
	const loud = 3000 // several trim chunks
	cfg := testConfig(t)
	cfg.NoSync = true
	s := openStore(t, cfg)
	announce(t, s, user(fabrikam, 1), 1, 10)
	var wg sync.WaitGroup
	for v := presence.Version(1); v <= loud; v++ {
		wg.Add(1)
		s.Commit(commitOf(user(contoso, 1), v, presence.Busy), func(err error) {
			if err != nil {
				t.Errorf("commit: %v", err)
			}
			wg.Done()
		})
	}
	wg.Wait()
	before, _ := s.feeds.sizes()
	closeStore(t, s)

	cfg.Retention.Bytes = before / 10
	cfg.faults.every = time.Millisecond
	s = openStore(t, cfg)
	eventually(t, "the feed fits", func() bool {
		x := s.feeds.extent(contoso)
		total, _ := s.feeds.sizes()
		return x.floor > 0 && x.floor < x.last && total <= cfg.Retention.Bytes
	})
	wantChanges(t, s, fabrikam, Token{}, 10, "[1 2 3 4 5 6 7 8 9 10]")
	kept, _, err := s.Changes(contoso, s.FeedStart(contoso), loud)
	if err != nil || len(kept) == 0 || kept[len(kept)-1].Version != loud {
		t.Fatalf("the newest is not kept: %d left, %v", len(kept), err)
	}
	if len(kept) < loud/20 || len(kept) > loud/8 {
		t.Errorf("%d of %d changes are kept within a tenth of the bytes", len(kept), loud)
	}
}
