package replica

import (
	"slices"
	"testing"
	"time"
)

// What the simulator meets too seldom: messages that cross each other.

func TestBehindDuringARound(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	out := s.view(1, "a", "b")
	s.hear("b", Behind{[]uint16{0}})
	again := s.agree(out, 1, 1, 0, "b")
	if s.m.Settled(0) || !s.m.Settled(1) {
		t.Error("the answer may be from before what b has told of; that of the other shard counts")
	}
	again = append(again, s.pass(time.Second)...)
	if r := sent[Roots](again, "b"); len(r) != 1 || !slices.Equal(r[0].Shards, []uint16{0}) {
		t.Fatalf("%+v", again)
	}
	s.agree(again, 1, 1, 0, "b")
	if !s.m.Settled(0) {
		t.Error("not settled")
	}
}

// differ lets b have something of shard 0 and returns the pull.
func (s *stand) differ(out []Output) Pull {
	r := sent[Roots](out, "b")[0]
	out = s.hear("b", Differs{Round: r.Round, View: 1, Table: 1, Shards: []uint16{0}, Roots: []uint64{9}})
	pulls := sent[Pull](out, "b")
	if len(pulls) != 1 || pulls[0].Shard != 0 || pulls[0].Table != 1 {
		s.Fatalf("%+v", out)
	}
	return pulls[0]
}

// page answers a pull and ends the write.
func (s *stand) page(p Pull, next any) []Output {
	out := s.hear("b", Page{ID: p.ID, Root: 9, Next: next, OK: true})
	s.m.Wrote(s.now, only[Absorb](out)[0].ID, true)
	return s.m.Take()
}

func TestPullGoesOnToTheLastPage(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	out := s.page(s.differ(s.view(1, "a", "b")), "next")
	if s.m.Settled(0) {
		t.Error("settled after the first page")
	}
	p := sent[Pull](out, "b")
	if len(p) != 1 || p[0].After != "next" {
		t.Fatalf("%+v", out)
	}
	s.page(p[0], nil)
	if !s.m.Settled(0) {
		t.Error("not settled")
	}
}

func TestBehindDuringAPull(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	p := s.differ(s.view(1, "a", "b"))
	s.hear("b", Behind{[]uint16{0}})
	s.page(p, nil)
	if s.m.Settled(0) {
		t.Error("the page may be from before what b has told of")
	}
	s.agree(s.pass(time.Second), 1, 1, 0, "b")
	if !s.m.Settled(0) {
		t.Error("not settled")
	}
}

func TestLostPageComparesAnew(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	p := s.differ(s.view(1, "a", "b"))
	out := s.pass(5 * time.Second)
	if s.hear("b", Page{ID: p.ID, Root: 9, OK: true}); s.m.Settled(0) {
		t.Error("a page that came too late counts")
	}
	if r := sent[Roots](out, "b"); len(r) == 0 {
		t.Errorf("%+v", out)
	}
}

func TestPullOfAnotherViewIsRefused(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	s.view(1, "a", "b")
	out := s.hear("b", Pull{ID: 4, Table: 2})
	if p := sent[Page](out, "b"); len(p) != 1 || p[0].OK || len(only[ServePull](out)) != 0 {
		t.Errorf("%+v", out)
	}
}

// ask lets a, which is not to hold shard 0, ask all whether it may drop it.
func (s *stand) ask() Surplus {
	s.roots[0] = 7
	s.agree(s.view(1, "b", "c", "d"), 1, 1, 0, "b", "c", "d")
	for range 100 {
		if q := sent[Surplus](s.pass(time.Second), "b"); len(q) > 0 {
			return q[0]
		}
	}
	s.Fatal("nobody is asked")
	return Surplus{}
}

func (s *stand) allow(q Surplus) (out []Output) {
	for _, from := range []Member{"b", "c", "d"} {
		out = append(out, s.hear(from, Covered{Round: q.Round, Table: 1, Shards: q.Shards})...)
	}
	return out
}

func TestNothingIsDroppedWhileItIsPulled(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	q := s.ask()
	s.hear("b", Pull{ID: 4, Table: 1})
	if out := s.allow(q); len(only[Drop](out)) != 0 {
		t.Errorf("b has not got the next page yet: %+v", out)
	}
	q = sent[Surplus](s.pass(20*time.Second), "b")[0]
	s.allow(q)
}

// While a drop is under way a comes to hold the shard again. What will be
// dropped does not count.
func TestDropUnderWay(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	drop := only[Drop](s.allow(s.ask()))
	if len(drop) != 1 {
		t.Fatalf("%+v", drop)
	}
	out := s.view(2, "a", "b", "c")
	if r := sent[Roots](out, "b"); len(r) != 1 || slices.Contains(r[0].Shards, 0) {
		t.Errorf("%+v", r)
	}
	s.view(3, "a", "b", "c")
	s.m.SetView(s.now, View{Table: 4, Self: "a", Members: []Member{"a", "b", "c"}, Sets: func(uint16) []Member {
		return []Member{"a", "b"}
	}})
	s.m.Take()
	out = s.hear("c", Surplus{Round: 1, Table: 4, Shards: []uint16{0}, Roots: []uint64{7}})
	if len(sent[Covered](out, "c")) != 0 {
		t.Errorf("%+v", out)
	}
	s.roots[0] = 0
	s.m.Wrote(s.now, drop[0].ID, true)
	if r := sent[Roots](s.pass(2*time.Second), "b"); len(r) == 0 || !slices.Contains(r[len(r)-1].Shards, 0) {
		t.Errorf("%+v", r)
	}
}

func TestSurplusIsProven(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	s.roots[0] = 7
	s.m.SetView(s.now, View{Table: 1, Self: "a", Members: []Member{"a", "b"}, Sets: func(uint16) []Member {
		return []Member{"a"}
	}})
	s.agree(s.m.Take(), 1, 1, 0, "b")
	ask := func(table, root uint64) []Output {
		return s.hear("b", Surplus{Round: 1, Table: table, Shards: []uint16{0}, Roots: []uint64{root}})
	}
	if out := ask(2, 7); len(sent[Covered](out, "b")) != 0 {
		t.Errorf("b is in another view: %+v", out)
	}
	if out := ask(1, 7); len(sent[Covered](out, "b")) != 1 {
		t.Errorf("both have the same: %+v", out)
	}
	out := ask(1, 9)
	p := sent[Pull](out, "b")
	if len(sent[Covered](out, "b")) != 0 || len(p) != 1 {
		t.Fatalf("b may have got something since: %+v", out)
	}
	s.page(p[0], nil)
	if out := ask(1, 9); len(sent[Covered](out, "b")) != 1 {
		t.Errorf("all that b had at 9 is here: %+v", out)
	}
}

func TestForeignDeltaIsTold(t *testing.T) {
	for from, want := range map[Member][2]int{"b": {0, 0}, "c": {1, 0}, "stranger": {1, 1}} {
		s := newStand(t, Config{Ack: 2})
		s.agree(s.view(1, "b", "a", "c"), 1, 1, 0, "b", "c")
		out := s.hear(from, Delta{ID: 4})
		s.m.Wrote(s.now, only[Absorb](out)[0].ID, true)
		out = s.pass(500 * time.Millisecond)
		if got := [2]int{len(sent[Behind](out, "b")), len(sent[Behind](out, "c"))}; got != want {
			t.Errorf("delta of %s: %v", from, got)
		}
	}
}

// A member that has refused a commit compares when what this one has of it is
// on its disk, not before, and is reminded until it does.
func TestRefusalIsTold(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	s.agree(s.view(1, "a", "b", "c"), 1, 1, 0, "b", "c")
	s.m.Commit(s.now, 5, 0, "u", nil)
	s.hear("b", Ack{ID: 5})
	s.hear("c", Ack{ID: 5, OK: true})
	if out := s.pass(3 * time.Second); len(sent[Behind](out, "b")) != 0 {
		t.Errorf("the commit is not on this disk yet: %+v", out)
	}
	s.m.Wrote(s.now, 5, true)
	out := s.pass(3 * time.Second)
	if len(sent[Behind](out, "b")) < 2 || len(sent[Behind](out, "c")) != 0 {
		t.Errorf("%+v", out)
	}
	s.hear("b", Roots{Table: 1, View: 1, Shards: []uint16{0}, Roots: []uint64{3}})
	if out := s.pass(20 * time.Second); len(sent[Behind](out, "b")) != 0 {
		t.Errorf("b has compared: %+v", out)
	}
}

func TestGatherInANewView(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	s.view(1, "a", "b")
	s.m.Gather(s.now, 3, 0, "u")
	s.m.Take()
	again := s.view(2, "a", "c")
	if len(only[Done](again)) != 0 || len(sent[Fetch](again, "c")) != 1 {
		t.Fatalf("%+v", again)
	}
	out := s.hear("c", Copy{ID: sent[Fetch](again, "c")[0].ID, OK: true})
	s.m.Wrote(s.now, only[Absorb](out)[0].ID, true)
	if done := only[Done](s.m.Take()); len(done) != 1 || done[0].ID != 3 || done[0].Provisional {
		t.Errorf("%+v", done)
	}
}
