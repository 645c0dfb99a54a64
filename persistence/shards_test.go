package persistence

import (
	"slices"
	"testing"
	"time"

	"rollcall/presence"
)

func TestShardsUsersHoldForget(t *testing.T) {
	s := openStore(t, testConfig(t))
	a, b := user(contoso, 1), user(contoso, 2)
	commitUser := func(u presence.UserID) {
		var r presence.Record
		r.Merge(presence.Element{Key: presence.NoteKey, Stamp: presence.Stamp{Version: 5}, Value: presence.Note{Content: "hello"}})
		block := presence.Element{Key: presence.BlockKey(b), Stamp: presence.Stamp{Version: 6}, Value: presence.Block{}}
		r.Merge(block)
		done := make(chan error, 1)
		s.Commit(Commit{User: u, Record: &r, Version: 7, Blocks: []presence.Element{block}}, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	list := presence.Element{
		Key: presence.WatchKey("phone"), Stamp: presence.Stamp{Version: 8},
		Expires: time.Now().Add(time.Hour).UnixMilli(), Value: presence.NewWatch([]presence.UserID{a}),
	}
	commitList := func(u presence.UserID) {
		done := make(chan error, 1)
		s.CommitWatch(u, list, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	commitUser(a)
	commitList(a)
	commitList(b) // a user with a list alone

	want := []uint16{a.Shard(), b.Shard()}
	slices.Sort(want)
	if got, err := s.Shards(); err != nil || !slices.Equal(got, slices.Compact(want)) {
		t.Fatalf("shards %v (%v), want %v", got, err, want)
	}
	if got, err := s.Users(b.Shard()); err != nil || !slices.Contains(got, b) {
		t.Fatalf("users of a shard: %v (%v)", got, err)
	}
	h, err := s.Hold(a)
	if err != nil || h.Loaded.Version != 7 || len(h.Loaded.Record.Elements()) != 2 || len(h.Watches) != 1 {
		t.Fatalf("held %+v (%v)", h, err)
	}
	done := make(chan error, 1)
	s.Forget(h, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if h, err := s.Hold(a); err != nil || h.Loaded.Found || len(h.Watches) != 0 {
		t.Fatalf("after Forget there is %+v (%v)", h, err)
	}
	if got, err := s.Shards(); err != nil || !slices.Equal(got, []uint16{b.Shard()}) {
		t.Fatalf("shards after Forget: %v (%v)", got, err)
	}
}
