package memory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"rollcall/persistence"
	"rollcall/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	tenant = presence.TenantID{1}
	noon   = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
)

func atNoon() time.Time { return noon }

func user(n int) presence.UserID {
	return presence.UserID{Tenant: tenant, MRI: fmt.Sprintf("8:u%d", n)}
}

func version(t time.Time) presence.Version { return presence.Version(t.UnixMilli()) << 16 }

func random(r *rand.Rand) persistence.Commit {
	ago := func(n int) presence.Version { return version(noon.Add(-time.Duration(r.IntN(n)) * time.Minute)) }
	c := persistence.Commit{User: user(r.IntN(12))}
	keys := []presence.Element{
		{Key: presence.SessionKey("a"), Expires: noon.Add(time.Hour).UnixMilli(), Value: presence.Session{Availability: presence.Busy}},
		{Key: presence.NoteKey, Value: presence.Note{Content: "x"}},
		{Key: presence.BlockKey(user(1)), Value: presence.Block{}},
		{Key: presence.WatchKey("e"), Value: presence.NewWatch([]presence.UserID{user(2)})},
		{Key: presence.CallKey("old"), Expires: 5, Value: presence.Call{}},
	}
	for range r.IntN(3) {
		e := keys[r.IntN(len(keys))]
		if e.Stamp = (presence.Stamp{Version: ago(20), Node: 1}); e.Key == presence.CallKey("old") {
			e.Stamp.Version = 5
		}
		if r.IntN(3) == 0 {
			e.Value = nil
		}
		c.Elements = append(c.Elements, e)
	}
	if r.IntN(2) == 0 {
		c.Version, c.Wake = ago(20), noon
		c.State.LastActive = c.Version.Millis()
	}
	return c
}

type disk interface {
	Commit(c persistence.Commit, done func(error))
	Absorb(cs []persistence.Commit, feed []persistence.FeedEntry, done func(changed []bool, err error))
	Load(u presence.UserID, done func(persistence.Loaded, error))
	LoadWatch(u presence.UserID, endpoint string, done func(presence.Element, bool, error))
	Endpoints(u presence.UserID, done func([]string, error))
	Copy(u presence.UserID) (persistence.Commit, bool, error)
	Root(shard uint16) (root uint64, known bool)
	Have(shard uint16) ([]byte, error)
	Differing(shard uint16, have []byte, after presence.UserID, ends []persistence.FeedEnd, maxBytes int) (persistence.Part, error)
	Drop(shard uint16, root uint64, done func(dropped bool, err error))
	Shards() ([]uint16, error)
	FeedEnds(shard uint16) []persistence.FeedEnd
	FeedMark() uint64
	FeedComplete(origin, mark uint64)
	CommitPolicy(p presence.Policy, done func(error))
	Policies() ([]presence.Policy, error)
	Wakeups(ctx context.Context, each func(presence.UserID, time.Time) error) error
	Writable() bool
	Node() uint64
}

var _, _ disk = (*Store)(nil), (*persistence.Store)(nil)

// Whatever is done to both, a store in memory and one on a disk say the same.
func TestTwinOfTheStoreOnDisk(t *testing.T) {
	real, err := persistence.Open(persistence.Config{Dir: t.TempDir(), Ballast: -1, NoSync: true, Now: atNoon})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := real.Close(); err != nil {
			t.Error(err)
		}
	}()
	twin := New(1, atNoon)
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		c, own := random(r), r.IntN(2) == 0
		var said [2]string
		for i, s := range []disk{real, twin} {
			answer := make(chan string, 1)
			if own {
				s.Commit(c, func(err error) { answer <- fmt.Sprint(err) })
			} else {
				s.Absorb([]persistence.Commit{c}, nil, func(changed []bool, err error) { answer <- fmt.Sprint(changed, err) })
			}
			said[i] = <-answer
		}
		if said[0] != said[1] {
			t.Fatalf("after %+v the disk says %s, memory %s", c, said[0], said[1])
		}
		same(t, real, twin, c.User)
	}
	for n := range 12 {
		u := user(n)
		root, _ := twin.Root(u.Shard())
		for _, s := range []disk{real, twin} {
			answer := make(chan bool, 1)
			s.Drop(u.Shard(), root, func(dropped bool, err error) { answer <- dropped && err == nil })
			if !<-answer {
				t.Error("not dropped")
			}
		}
		same(t, real, twin, u)
	}
}

func same(t *testing.T, real, twin disk, u presence.UserID) {
	t.Helper()
	var views [2]any
	for i, s := range []disk{real, twin} {
		deadline := time.Now().Add(20 * time.Second)
		root, known := s.Root(u.Shard())
		for ; !known && time.Now().Before(deadline); root, known = s.Root(u.Shard()) {
			time.Sleep(time.Millisecond)
		}
		c, found, err := s.Copy(u)
		have, err2 := s.Have(u.Shard())
		loaded := make(chan persistence.Loaded, 1)
		s.Load(u, func(l persistence.Loaded, _ error) { loaded <- l })
		l := <-loaded
		part, err3 := s.Differing(u.Shard(), nil, presence.UserID{}, nil, 1<<20)
		for _, w := range []*time.Time{&c.Wake, &l.Wake} {
			*w = w.UTC()
		}
		for i := range part.Copies {
			part.Copies[i].Wake = part.Copies[i].Wake.UTC()
		}
		views[i] = []any{root, c.Elements, c.State, c.Version, c.Wake, found, have, l.Record.Elements(), l.Found, l.Wake, part, err, err2, err3}
	}
	if diff := cmp.Diff(views[0], views[1], cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s (-disk +memory):\n%s", u, diff)
	}
}

func TestRefusesWhileNotWritable(t *testing.T) {
	s := New(1, atNoon)
	s.SetWritable(false)
	if s.Writable() {
		t.Error("writable")
	}
	var errs []error
	s.Commit(persistence.Commit{User: user(1), Version: 1}, func(err error) { errs = append(errs, err) })
	s.Absorb([]persistence.Commit{{User: user(1), Version: 1}}, nil, func(_ []bool, err error) { errs = append(errs, err) })
	s.CommitPolicy(presence.DefaultPolicy(tenant), func(err error) { errs = append(errs, err) })
	if len(errs) != 3 || slices.ContainsFunc(errs, func(err error) bool { return !errors.Is(err, persistence.ErrStorageLow) }) {
		t.Errorf("answers %v", errs)
	}
	if s.Users() != 0 {
		t.Error("something is stored")
	}
	s.SetWritable(true)
	s.Commit(persistence.Commit{User: user(1), Version: 1}, func(err error) { errs = append(errs, err) })
	if errs[3] != nil || s.Users() != 1 {
		t.Errorf("afterwards %v", errs[3])
	}
}

// The feed of two stores becomes one by pulling, each chain in its order.
func TestFeedIsPulled(t *testing.T) {
	a, b := New(1, atNoon), New(2, atNoon)
	u := user(1)
	for v := range presence.Version(20) {
		c := persistence.Commit{User: u, Version: v + 1, Feed: &persistence.FeedEntry{}}
		a.Commit(c, func(error) {})
		if c.Feed.Seq == 0 || c.Feed.Origin != 1 || c.Feed.User != u {
			t.Fatalf("numbered %+v", c.Feed)
		}
		if v == 3 || v == 9 { // the second one comes with a gap before it
			b.Absorb([]persistence.Commit{c}, nil, func([]bool, error) {})
		}
	}
	if len(b.Log()) != 0 {
		t.Fatalf("%d entries were taken with a gap before them", len(b.Log()))
	}
	have, err := b.Have(u.Shard())
	if err != nil {
		t.Fatal(err)
	}
	for pages := 0; ; pages++ {
		p, err := a.Differing(u.Shard(), have, presence.UserID{}, b.FeedEnds(u.Shard()), 1000)
		if err != nil || pages > 20 {
			t.Fatalf("page %d: %v", pages, err)
		}
		b.Absorb(p.Copies, p.Feed, func([]bool, error) {})
		if !p.More {
			break
		}
	}
	if diff := cmp.Diff(a.Log(), b.Log()); diff != "" {
		t.Errorf("logs (-from +to):\n%s", diff)
	}
	x, _ := a.Root(u.Shard())
	if y, _ := b.Root(u.Shard()); x != y {
		t.Errorf("roots %x and %x", x, y)
	}
	b.FeedComplete(1, a.FeedMark())
	if b.FeedCompleted(1) != 20 || b.FeedMark() != 20 {
		t.Errorf("complete up to %d, mark %d", b.FeedCompleted(1), b.FeedMark())
	}
}
