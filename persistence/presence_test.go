package persistence

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"

	"rollcall/presence"
)

func TestCommittedUserIsThereAfterReopen(t *testing.T) {
	cfg := testConfig(t)
	s := openStore(t, cfg)
	node := s.Node()
	alice := user(contoso, 1)
	c := commitOf(alice, 10, presence.Busy)
	c.Wake = noon
	commit(t, s, c)
	closeStore(t, s)
	s = openStore(t, cfg)
	if s.Node() != node || node == 0 {
		t.Errorf("node is %x after reopening, was %x", s.Node(), node)
	}
	got := load(t, s, alice)
	if !got.Found || got.State != c.State || got.Version != 10 || !got.Wake.Equal(noon) {
		t.Errorf("loaded %+v, want %+v", got, c)
	}
	if diff := cmp.Diff(c.Elements, got.Record.Elements()); diff != "" {
		t.Errorf("elements (-want +got):\n%s", diff)
	}
	if got := load(t, s, user(contoso, 2)); got.Found {
		t.Errorf("a user that was never committed is found: %+v", got)
	}
}

func TestBlocksComeBackAndWatchesStayOut(t *testing.T) {
	s := openStore(t, testConfig(t))
	alice, bob := user(contoso, 1), user(contoso, 2)
	block := presence.Element{Key: presence.BlockKey(bob), Stamp: presence.Stamp{Version: 3, Node: 7}, Value: presence.Block{}}
	cleared := presence.Element{Key: presence.BlockKey(alice), Stamp: presence.Stamp{Version: 4, Node: 7}}
	watch := presence.Element{
		Key: presence.WatchKey("e1"), Stamp: presence.Stamp{Version: 5, Node: 7},
		Value: presence.Watch{Targets: []presence.UserID{bob}},
	}
	c := commitOf(alice, 5, presence.Available)
	c.Elements = append(c.Elements, block, cleared, watch)
	commit(t, s, c)

	got := load(t, s, alice)
	if diff := cmp.Diff([]presence.Element{cleared, block}, got.Record.Kind(presence.KindBlock)); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
	if n := len(got.Record.Kind(presence.KindWatch)); n != 0 {
		t.Errorf("%d watch elements came with the presence, want none", n)
	}
	c = commitOf(alice, 6, presence.Away) // what a commit does not name stays
	commit(t, s, c)
	if got := load(t, s, alice); len(got.Record.Kind(presence.KindBlock)) != 2 {
		t.Errorf("blocks after a commit without any: %v", got.Record.Kind(presence.KindBlock))
	}
	if got := load(t, s, bob); got.Found {
		t.Error("a blocked user is found without having published")
	}
}

func TestCommitsOfOneBatchSeeEachOther(t *testing.T) {
	hold := newHeld()
	cfg := testConfig(t)
	cfg.faults.commit = hold.commit
	s := openStore(t, cfg)
	alice := user(contoso, 1)
	answers := make(chan error, 3)
	send := func(v presence.Version, a presence.Availability) {
		s.Commit(commitOf(alice, v, a), func(err error) { answers <- err })
	}
	send(1, presence.Away)
	receive(t, hold.entered) // the next two share a batch
	send(2, presence.Busy)
	send(3, presence.Available)
	close(hold.release)
	for range 3 {
		if err := receive(t, answers); err != nil {
			t.Fatal(err)
		}
	}
	if got := load(t, s, alice); got.Version != 3 || got.State.Availability != presence.Available {
		t.Errorf("loaded version %d %v, want the last", got.Version, got.State.Availability)
	}
	changes, _, err := s.Changes(contoso, Token{}, 10)
	if err != nil || len(changes) != 3 {
		t.Fatalf("feed has %d changes, %v; want all three", len(changes), err)
	}
}

func TestWakeupsShowsOnlyUsersThatWillChange(t *testing.T) {
	s := openStore(t, testConfig(t))
	want := map[presence.UserID]time.Time{}
	for n := range 50 {
		c := commitOf(user(contoso, n), 1, presence.Available)
		if n%5 == 0 {
			c.Wake = noon.Add(time.Duration(n) * time.Minute)
			want[c.User] = c.Wake
		}
		commit(t, s, c)
	}
	woken := commitOf(user(contoso, 0), 2, presence.Offline) // no longer
	commit(t, s, woken)
	delete(want, woken.User)

	got := map[presence.UserID]time.Time{}
	err := s.Wakeups(context.Background(), func(u presence.UserID, at time.Time) error {
		got[u] = at.UTC()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wakeups (-want +got):\n%s", diff)
	}

	enough := errors.New("enough")
	if err := s.Wakeups(context.Background(), func(presence.UserID, time.Time) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the callback's error came back as %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Wakeups(ctx, func(presence.UserID, time.Time) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
}

func TestTooBigValueIsRefusedAtOnce(t *testing.T) {
	s := openStore(t, testConfig(t))
	c := commitOf(user(contoso, 1), 1, presence.Available)
	c.Elements = append(c.Elements, presence.Element{
		Key: presence.NoteKey, Stamp: presence.Stamp{Version: 1},
		Value: presence.Note{Content: strings.Repeat("x", maxValue)},
	})
	if err := await(t, func(done func(error)) { s.Commit(c, done) }); !errors.Is(err, ErrTooBig) {
		t.Fatalf("answered %v, want ErrTooBig", err)
	}
	if load(t, s, c.User).Found {
		t.Error("the refused commit is stored")
	}
}

// A value that changes on the disk, or stands under another key, is never
// served: the store fails.
func TestWrongValueIsNeverServed(t *testing.T) {
	alice, bob := user(contoso, 1), user(contoso, 2)
	for name, spoil := range map[string]func(txn *badger.Txn, value []byte) error{
		"a flipped bit": func(txn *badger.Txn, value []byte) error {
			value[len(value)/2] ^= 4
			return txn.Set(userKey(kindPresence, alice, ""), value)
		},
		"the value of another user": func(txn *badger.Txn, _ []byte) error {
			item, err := txn.Get(userKey(kindPresence, bob, ""))
			if err != nil {
				return err
			}
			other, err := item.ValueCopy(nil)
			if err != nil {
				return err
			}
			return txn.Set(userKey(kindPresence, alice, ""), other)
		},
		"no value": func(txn *badger.Txn, _ []byte) error { return txn.Set(userKey(kindPresence, alice, ""), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			fatal := make(chan error, 2)
			cfg := testConfig(t)
			cfg.Fatal = func(err error) { fatal <- err }
			s := openStore(t, cfg)
			commit(t, s, commitOf(alice, 1, presence.Busy))
			commit(t, s, commitOf(bob, 1, presence.Away))
			err := s.db.Update(func(txn *badger.Txn) error {
				item, err := txn.Get(userKey(kindPresence, alice, ""))
				if err != nil {
					return err
				}
				value, err := item.ValueCopy(nil)
				if err != nil {
					return err
				}
				return spoil(txn, value)
			})
			if err != nil {
				t.Fatal(err)
			}
			err = await(t, func(done func(error)) { s.Load(alice, func(_ Loaded, err error) { done(err) }) })
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("load answered %v, want ErrCorrupt", err)
			}
			if err := receive(t, fatal); !errors.Is(err, ErrCorrupt) {
				t.Errorf("fatal got %v, want ErrCorrupt", err)
			}
			err = await(t, func(done func(error)) { s.Commit(commitOf(bob, 2, presence.Busy), done) })
			if !errors.Is(err, ErrFailed) {
				t.Errorf("a later commit answered %v, want ErrFailed", err)
			}
		})
	}
}

func TestKeysAreFixedAndApart(t *testing.T) {
	u := presence.UserID{Tenant: presence.TenantID{0xAA}, MRI: "8:x"}
	shard := u.Shard()
	want := append([]byte{'p', byte(shard >> 8), byte(shard), 0xAA}, make([]byte, 15)...)
	want = append(want, "8:x"...)
	if got := userKey(kindPresence, u, ""); !bytes.Equal(got, want) {
		t.Errorf("presence key %x, want %x", got, want)
	}
	if got, ok := userOf(want); !ok || got != u {
		t.Errorf("user of the key is %v, want %v", got, u)
	}
	want[0] = 'w'
	if got := userKey(kindWatch, u, "e"); !bytes.Equal(got, append(want, 0, 'e')) {
		t.Errorf("watch key %x", got)
	}
	longer := presence.UserID{Tenant: u.Tenant, MRI: "8:xy"}
	if bytes.HasPrefix(userKey(kindWatch, longer, "e"), userKey(kindWatch, u, "")) {
		t.Error("a user's range holds a user with a longer name")
	}
	if got := feedKey(u.Tenant, 1, 2); len(got) != feedKeySize || feedSeq(got) != 2 {
		t.Errorf("feed key %x", got)
	}
}
