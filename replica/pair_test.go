package replica

import (
	"errors"
	"testing"
	"time"
)

// roots is a store that knows its digests.
type roots map[uint16]uint64

func (r roots) Root(s uint16) (uint64, bool) { return r[s], true }
func (r roots) Mark() uint64                 { return r[Shards] }

// stand is one machine, called a, and what it puts out.
type stand struct {
	*testing.T
	m     *Machine
	now   time.Time
	roots roots
}

func newStand(t *testing.T, c Config) *stand {
	s := &stand{T: t, now: time.Unix(1e9, 0), roots: roots{}}
	c.Digests = s.roots
	s.m = New(c, s.now)
	return s
}

// view lets the set of every shard be these members, in this order.
func (s *stand) view(table uint64, members ...Member) []Output {
	all := members
	if len(members) == 0 || members[0] != "a" {
		all = append([]Member{"a"}, members...)
	}
	s.m.SetView(s.now, View{Table: table, Self: "a", Members: all, Sets: func(shard uint16) []Member {
		if shard > 1 {
			return nil
		}
		return members
	}})
	return s.m.Take()
}

func (s *stand) hear(from Member, msg Message) []Output {
	s.m.Receive(s.now, from, msg)
	return s.m.Take()
}

func (s *stand) pass(d time.Duration) (out []Output) {
	end := s.now.Add(d)
	for next := s.m.Next(); !next.IsZero() && !next.After(end); next = s.m.Next() {
		s.now = next
		s.m.Tick(s.now)
		out = append(out, s.m.Take()...)
	}
	s.now = end
	s.m.Tick(s.now)
	return append(out, s.m.Take()...)
}

// sent are the messages of one kind to one member.
func sent[M Message](out []Output, to Member) (found []M) {
	for _, o := range out {
		if send, ok := o.(Send); ok && send.To == to {
			if m, ok := send.Message.(M); ok {
				found = append(found, m)
			}
		}
	}
	return found
}

func only[O Output](out []Output) (found []O) {
	for _, o := range out {
		if o, ok := o.(O); ok {
			found = append(found, o)
		}
	}
	return found
}

// agree answers all that a asks of a member: nothing differs.
func (s *stand) agree(out []Output, table, view, mark uint64, who ...Member) (more []Output) {
	for _, p := range who {
		for _, r := range sent[Roots](out, p) {
			more = append(more, s.hear(p, Differs{Round: r.Round, View: view, Table: table, Mark: mark})...)
		}
	}
	return more
}

func TestCommitEndsWithTheSecondCopy(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	s.view(1, "a", "b", "c")
	s.m.Commit(s.now, 5, 0, "u", nil)
	out := s.m.Take()
	if len(only[Write](out)) != 1 || len(sent[Delta](out, "b")) != 1 || len(sent[Delta](out, "c")) != 1 {
		t.Fatalf("%+v", out)
	}
	s.m.Wrote(s.now, 5, true)
	if out := s.m.Take(); len(out) != 0 {
		t.Errorf("one copy ends it: %+v", out)
	}
	if done := only[Done](s.hear("b", Ack{ID: 5, OK: true})); len(done) != 1 || done[0].Err != nil || done[0].Copies != 2 {
		t.Errorf("%+v", done)
	}
	if out := s.pass(3 * time.Second); len(sent[Behind](out, "c")) == 0 || len(sent[Behind](out, "b")) != 0 {
		t.Errorf("c, which has not answered, is to be told, and nobody else: %+v", out)
	}
	if n := s.m.Status().Commits; n != 0 {
		t.Errorf("%d commits are kept", n)
	}
}

func TestCommitWithoutItsOwnDisk(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	s.agree(s.view(1, "a", "b", "c"), 1, 1, 0, "b", "c")
	if !s.m.Settled(0) {
		t.Fatal("not settled")
	}
	s.m.Commit(s.now, 5, 0, "u", nil)
	s.m.Wrote(s.now, 5, false)
	s.hear("b", Ack{ID: 5, OK: true})
	if done := only[Done](s.hear("c", Ack{ID: 5, OK: true})); len(done) != 1 || done[0].Err != nil || done[0].Copies != 2 {
		t.Errorf("%+v", done)
	}
	if s.m.Settled(0) || !s.m.Settled(1) {
		t.Error("what the disk has refused others have: the shard is not settled, and no other")
	}
}

func TestCommitFails(t *testing.T) {
	s := newStand(t, Config{Ack: 2, Min: 2})
	s.m.Commit(s.now, 1, 0, "u", nil)
	if done := only[Done](s.m.Take()); len(done) != 1 || !errors.Is(done[0].Err, ErrTooFew) {
		t.Errorf("nobody is there: %+v", done)
	}
	s.view(1, "a", "b")
	s.m.Commit(s.now, 2, 0, "u", nil)
	s.m.Wrote(s.now, 2, true)
	s.view(2, "a")
	if done := only[Done](s.pass(3 * time.Second)); len(done) != 1 || !errors.Is(done[0].Err, ErrUnconfirmed) {
		t.Errorf("two must be there: %+v", done)
	}
}

// The other's process has died and another one has come, perhaps without the
// disk. What the first has said does not count.
func TestAckOfAnEarlierProcess(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	s.view(1, "a", "b#1")
	s.m.Commit(s.now, 5, 0, "u", nil)
	s.m.Wrote(s.now, 5, true)
	s.m.Take()
	again := sent[Delta](s.view(2, "a", "b#2"), "b#2")
	if len(again) != 1 {
		t.Fatalf("%+v", again)
	}
	if out := s.hear("b#2", Ack{ID: 5, OK: true}); len(only[Done](out)) != 0 {
		t.Errorf("%+v", out)
	}
	if out := s.hear("b#2", Ack{ID: again[0].ID, OK: true}); len(only[Done](out)) != 1 {
		t.Errorf("%+v", out)
	}
}

func TestOnlyTheSameViewSettles(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	out := s.view(1, "a", "b")
	early := sent[Roots](out, "b")
	s.agree(out, 9, 1, 0, "b")
	if s.m.Settled(0) {
		t.Error("b was in another view")
	}
	out = s.pass(time.Second)
	s.agree(out, 1, 2, 0, "b")
	if !s.m.Settled(0) {
		t.Error("b is in the view")
	}
	s.view(2, "a", "b", "c")
	s.view(1, "a", "b")
	s.hear("b", Differs{Round: early[0].Round, View: 2, Table: 1})
	if s.m.Settled(0) {
		t.Error("an answer from before counts in a view that came back")
	}
}

func TestMemberThatWasAwayIsComparedAnew(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	s.agree(s.view(1, "a", "b"), 1, 1, 0, "b")
	s.hear("b", Roots{Round: 1, View: 2, Table: 1})
	if s.m.Settled(0) {
		t.Error("b was in another view meanwhile")
	}
}

func TestCompleteSaysTheFirstMark(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	s.roots[0] = 7
	r := sent[Roots](s.view(1, "a", "b"), "b")[0]
	out := s.hear("b", Differs{Round: r.Round, View: 1, Table: 1, Mark: 10, Unknown: []uint16{0}})
	if n := only[Complete](out); len(n) != 0 {
		t.Errorf("%+v", n)
	}
	out = s.agree(s.pass(time.Second), 1, 1, 20, "b")
	if done := only[Complete](out); len(done) != 1 || done[0] != (Complete{"b", 10}) {
		t.Errorf("%+v", done)
	}
}

func TestDropNeedsAll(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	s.roots[0] = 7
	s.agree(s.view(1, "b", "c", "d"), 1, 1, 0, "b", "c", "d")
	out := s.pass(5500 * time.Millisecond)
	q := sent[Surplus](out, "b")
	if len(q) != 1 || len(q[0].Shards) != 1 || q[0].Roots[0] != 7 {
		t.Fatalf("%+v", out)
	}
	yes := Covered{Round: q[0].Round, Table: 1, Shards: []uint16{0}}
	for _, from := range []Member{"b", "c", "c", "e"} {
		if out := s.hear(from, yes); len(only[Drop](out)) != 0 {
			t.Errorf("dropped without d: %+v", out)
		}
	}
	drop := only[Drop](s.hear("d", yes))
	if len(drop) != 1 || drop[0].Root != 7 {
		t.Fatalf("%+v", drop)
	}
	s.roots[0] = 0
	s.m.Wrote(s.now, drop[0].ID, true)
	if out := s.pass(10 * time.Minute); len(only[Send](out)) != 0 {
		t.Errorf("there is nothing more to do: %+v", out)
	}
}

func TestGatherOfAStandIn(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	s.agree(s.view(1, "b", "a", "c"), 1, 1, 0, "b", "c")
	s.m.Suspect(s.now, "b", true)
	s.m.Gather(s.now, 3, 0, "u")
	f := sent[Fetch](s.m.Take(), "c")
	if len(f) != 1 {
		t.Fatal("c is not asked, though b may have committed since")
	}
	out := s.hear("c", Copy{ID: f[0].ID, OK: true})
	s.m.Wrote(s.now, only[Absorb](out)[0].ID, true)
	if done := only[Done](s.m.Take()); len(done) != 1 || !done[0].Provisional {
		t.Errorf("b was not asked: %+v", done)
	}
}

func TestLateCopyIsStored(t *testing.T) {
	s := newStand(t, Config{Ack: 2})
	s.view(1, "a", "b")
	s.m.Gather(s.now, 3, 0, "u")
	f := sent[Fetch](s.m.Take(), "b")
	if done := only[Done](s.pass(time.Second)); len(done) != 1 || !done[0].Provisional {
		t.Fatalf("%+v", done)
	}
	if out := s.hear("b", Copy{ID: f[0].ID, OK: true}); len(only[Absorb](out)) != 1 {
		t.Errorf("%+v", out)
	}
	s.pass(20 * time.Second)
	if n := s.m.Status().Gathers; n != 1 {
		t.Errorf("%d gathers, one of which is still being written", n)
	}
}
