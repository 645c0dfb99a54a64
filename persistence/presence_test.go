package persistence

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/presence"
)

func crashChild() bool { return false }

func TestCommittedUserIsThereAfterReopen(t *testing.T) {
	cfg := testConfig(t)
	s := openStore(t, cfg)
	node := s.Node()
	alice := user(contoso, 1)
	c := commitOf(alice, 10, presence.Busy)
	c.Wake = noon
	commit(t, s, c)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, cfg)
	if s.Node() != node || node == 0 {
		t.Errorf("node is %x after reopening, was %x", s.Node(), node)
	}
	got := load(t, s, alice)
	if !got.Found || got.State != c.State || got.Version != 10 || !got.Wake.Equal(noon) {
		t.Errorf("loaded %+v, want %+v", got, c)
	}
	if diff := cmp.Diff(c.Record.Elements(), got.Record.Elements()); diff != "" {
		t.Errorf("elements (-want +got):\n%s", diff)
	}
	if got := load(t, s, user(contoso, 2)); got.Found {
		t.Errorf("a user that was never committed is found: %+v", got)
	}
}
