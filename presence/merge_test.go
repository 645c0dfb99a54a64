package presence

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func joined(a, b *Record) *Record {
	r := a.Clone()
	r.Join(b)
	return &r
}

func same(t *rapid.T, what string, a, b *Record) {
	if d := cmp.Diff(a.elements, b.elements); d != "" {
		t.Fatalf("%s: %s", what, d)
	}
}

func TestMergeIsCommutativeAssociativeIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := genRecord(t, "a"), genRecord(t, "b"), genRecord(t, "c")
		same(t, "a+b = b+a", joined(a, b), joined(b, a))
		same(t, "(a+b)+c = a+(b+c)", joined(joined(a, b), c), joined(a, joined(b, c)))
		same(t, "a+a = a", joined(a, a), a)
		same(t, "(a+b)+b = a+b", joined(joined(a, b), b), joined(a, b))
	})
}

func TestMergeTakesElementsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		elements := genElements(t, "elements")
		shuffled := rapid.Permutation(elements).Draw(t, "shuffled")
		same(t, "order", recordOf(elements), recordOf(shuffled))
	})
}

func TestMergeReportsChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, e := genRecord(t, "r"), rapid.Custom(genElement).Draw(t, "e")
		before := r.Clone()
		changed := r.Merge(e)
		if changed == cmp.Equal(before.elements, r.elements) {
			t.Fatalf("Merge said %t", changed)
		}
		if got, _ := r.Get(e.Key); compareElements(got, e) < 0 {
			t.Fatalf("an older element stayed: %v", got)
		}
	})
}

func TestRecordStaysSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRecord(t, "r")
		for i, e := range r.Elements() {
			if i > 0 && r.elements[i-1].Key >= e.Key {
				t.Fatalf("%s is not after %s", e.Key, r.elements[i-1].Key)
			}
		}
		total := 0
		for _, k := range []string{KindSession, KindPreferred, KindNote, KindCalendar, KindCall, KindLocation, KindBlock, KindWatch} {
			total += len(r.Kind(k))
			for _, e := range r.Kind(k) {
				if kind, _ := e.Key.Split(); kind != k {
					t.Fatalf("%s under kind %s", e.Key, k)
				}
			}
		}
		if total != len(r.elements) {
			t.Fatalf("kinds hold %d of %d elements", total, len(r.elements))
		}
	})
}

func TestEqualStamps(t *testing.T) {
	at := Stamp{Version: 5, Node: 1}
	session := func(active int64, expires int64) Element {
		return Element{Key: "session/1", Stamp: at, Expires: expires, Value: Session{Availability: Busy, LastActive: active}}
	}
	cleared := Element{Key: "session/1", Stamp: at, Expires: 1}
	for _, tt := range []struct {
		name        string
		loser, wins Element
	}{
		{"cleared beats kept", session(9, 0), cleared},
		{"longer life wins", session(9, 10), session(1, 11)},
		{"never ends last", session(9, 10), session(1, 0)},
		{"later activity wins", session(1, 10), session(2, 10)},
		{"node breaks the tie", Element{Key: "session/1", Stamp: at}, Element{Key: "session/1", Stamp: Stamp{5, 2}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, order := range [][]Element{{tt.loser, tt.wins}, {tt.wins, tt.loser}} {
				if got, _ := recordOf(order).Get("session/1"); got != tt.wins {
					t.Errorf("got %v, want %v", got, tt.wins)
				}
			}
		})
	}
}

// node is one copy with a clock of its own, which may jump.
type node struct {
	rec   Record
	clock Clock
	id    uint64
	now   time.Time
}

func (n *node) step(t *rapid.T) {
	jump := time.Duration(rapid.IntRange(-300, 300).Draw(t, "jump")) * time.Second
	n.now = n.now.Add(jump)
	ms := rapid.SliceOfN(rapid.Custom(genMutation), 1, 3).Draw(t, "mutations")
	for i := range ms {
		if ms[i].Op == Put && ms[i].Expires != 0 {
			ms[i].Expires += n.now.UnixMilli()
		}
		if ms[i].Op == Lease {
			ms[i].Expires += n.now.UnixMilli()
		}
	}
	before := n.rec.Clone()
	changed, err := n.rec.Apply(ms, Stamp{n.clock.Next(n.now), n.id}, n.now)
	if err != nil {
		same(t, "refused", &before, &n.rec)
		return
	}
	for _, e := range changed {
		if got, _ := n.rec.Get(e.Key); !cmp.Equal(got, e) {
			t.Fatalf("to commit %v, stored %v", e, got)
		}
		if old, ok := before.Get(e.Key); ok && e.Stamp.Compare(old.Stamp) <= 0 {
			t.Fatalf("%s was not stamped anew", e.Key)
		}
	}
}

func genMutation(t *rapid.T) Mutation {
	e := genValue(t)
	m := Mutation{
		Op: Op(rapid.IntRange(0, int(Lease)).Draw(t, "op")), Key: e.Key, Value: e.Value,
		Expires: int64(rapid.IntRange(0, 20).Draw(t, "minutes")) * 60_000, MustExist: rapid.Bool().Draw(t, "must"),
	}
	if rapid.IntRange(0, 9).Draw(t, "stray") == 0 {
		m.Key = PreferredKey
	}
	return m
}

func TestCopiesThatMeetInAnyOrderAreEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := genRecord(t, "base")
		var nodes []*node
		for id := range 3 {
			n := &node{rec: base.Clone(), id: uint64(id + 1), now: t0}
			n.clock.Observe(base.Newest())
			for range rapid.IntRange(0, 6).Draw(t, "steps") {
				n.step(t)
			}
			nodes = append(nodes, n)
		}
		one, two := base.Clone(), Record{}
		for _, n := range nodes {
			one.Join(&n.rec)
		}
		for _, n := range rapid.Permutation(nodes).Draw(t, "order") {
			two.Join(&n.rec)
			two.Join(&nodes[0].rec)
		}
		two.Join(base)
		same(t, "copies", &one, &two)
		now := time.UnixMilli(genMillis(t, "now"))
		s1, n1 := Aggregate(&one, now, DefaultRules)
		s2, n2 := Aggregate(&two, now, DefaultRules)
		if s1 != s2 || !n1.Equal(n2) {
			t.Fatalf("%+v until %s, %+v until %s", s1, n1, s2, n2)
		}
	})
}

// A copy that took every committed element shows what the owner shows, but for
// the leases and activity times that a restart may forget.
func TestCommittedElementsRebuildTheRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := &user{now: t0}
		var replica Record
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			u.pass(time.Duration(rapid.IntRange(0, 400).Draw(t, "pass")) * time.Second)
			m := genMutation(t)
			if m.Op == Put && m.Expires != 0 || m.Op == Lease {
				m.Expires += u.now.UnixMilli()
			}
			changed, _ := u.rec.Apply([]Mutation{m}, Stamp{u.clock.Next(u.now), 1}, u.now)
			for _, e := range changed {
				replica.Merge(e)
			}
		}
		if len(replica.elements) != len(u.rec.elements) {
			t.Fatalf("replica has %d elements of %d", len(replica.elements), len(u.rec.elements))
		}
		for i, e := range u.rec.elements {
			r := replica.elements[i]
			if s, ok := e.Value.(Session); ok && s.Leased {
				got := r.Value.(Session)
				got.LastActive = s.LastActive
				r.Value, r.Expires = got, e.Expires
			} else if ok {
				got := r.Value.(Session)
				got.LastActive = s.LastActive
				r.Value = got
			}
			if !cmp.Equal(r, e) {
				t.Fatalf("replica has %v, owner %v", r, e)
			}
		}
	})
}

func TestKindTakesOnlyItsOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Record
		for _, k := range rapid.SliceOf(rapid.StringMatching(`(session|sessio|call)?[ -0a]{0,3}`)).Draw(t, "keys") {
			r.Merge(Element{Key: Key(k)})
		}
		for _, kind := range []string{"session", "sessio", "call", "note"} {
			if _, once := r.Get(Key(kind)); once {
				continue
			}
			var want []Element
			for _, e := range r.Elements() {
				if strings.HasPrefix(string(e.Key), kind+"/") {
					want = append(want, e)
				}
			}
			if got := r.Kind(kind); len(got) != len(want) || len(got) > 0 && got[0].Key != want[0].Key {
				t.Fatalf("%s: %v, want %v", kind, got, want)
			}
		}
	})
}
