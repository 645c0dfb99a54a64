package presence

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func at(d time.Duration) int64 { return t0.Add(d).UnixMilli() }

func stamped(d time.Duration) Stamp { return Stamp{Version: Version(at(d) << counterBits), Node: 1} }

func TestCompact(t *testing.T) {
	busy := Session{Availability: Busy, Activity: ActBusy}
	const keep = time.Hour
	for name, tt := range map[string]struct {
		e    Element
		drop bool
	}{
		"live":                             {Element{Key: "session/1", Stamp: stamped(-3 * hour), Expires: at(1), Value: busy}, false},
		"never ending":                     {Element{Key: "block/x", Stamp: stamped(-3 * hour), Value: Block{}}, false},
		"expired for less than keep":       {Element{Key: "session/1", Stamp: stamped(-3 * hour), Expires: at(-keep + time.Millisecond), Value: busy}, false},
		"expired for keep":                 {Element{Key: "session/1", Stamp: stamped(-3 * hour), Expires: at(-keep), Value: busy}, true},
		"cleared before its value's end":   {Element{Key: "session/1", Stamp: stamped(-3 * hour), Expires: at(-keep + time.Millisecond)}, false},
		"cleared and past its end":         {Element{Key: "session/1", Stamp: stamped(-3 * hour), Expires: at(-keep)}, true},
		"cleared just now, ended before":   {Element{Key: "session/1", Stamp: stamped(0), Expires: at(-2 * keep)}, false},
		"cleared block, lately":            {Element{Key: "block/x", Stamp: stamped(-keep + time.Second)}, false},
		"cleared block, long ago":          {Element{Key: "block/x", Stamp: stamped(-keep)}, true},
		"cleared watch, long ago":          {Element{Key: "watch/e", Stamp: stamped(-keep)}, true},
		"cleared note that never ended":    {Element{Key: NoteKey, Stamp: stamped(-9 * hour)}, false},
		"expired note over an older one":   {Element{Key: NoteKey, Stamp: stamped(-9 * hour), Expires: at(-8 * hour), Value: Note{}}, false},
		"cleared preferred with an end":    {Element{Key: PreferredKey, Stamp: stamped(-9 * hour), Expires: at(-8 * hour)}, false},
		"cleared location":                 {Element{Key: LocationKey(Manual), Stamp: stamped(-9 * hour)}, false},
		"expired call, cleared long since": {Element{Key: CallKey("1"), Stamp: stamped(-9 * hour), Expires: at(-8 * hour)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := recordOf([]Element{tt.e, {Key: "watch/other", Value: Watch{}}})
			before := r.Clone()
			dropped := r.Compact(t0, keep)
			if got := slices.Equal(dropped, []Key{tt.e.Key}); got != tt.drop || !tt.drop && len(dropped) > 0 {
				t.Errorf("dropped %v", dropped)
			}
			if want := 2 - len(dropped); len(r.Elements()) != want {
				t.Errorf("%d elements left, want %d", len(r.Elements()), want)
			}
			if len(before.Elements()) != 2 {
				t.Error("the clone lost an element")
			}
		})
	}
}

// Whatever older copy of a compacted session comes back, it is dead.
func TestCompactedSessionStaysDead(t *testing.T) {
	u := newUser(t)
	old := u.must(u.app("a", "Busy/InACall", MaxAppSession))[0]
	u.pass(min1)
	u.must(clearing(SessionKey("a")))
	for range 400 {
		u.pass(min1)
		if dropped := u.rec.Compact(u.now, min1); len(dropped) > 0 {
			u.rec.Merge(old)
			u.want("Offline/Offline")
			return
		}
	}
	t.Fatal("never compacted")
}

func TestGraceLeases(t *testing.T) {
	session := func(id string, leased bool, expires int64) Element {
		return Element{Key: SessionKey(id), Stamp: stamped(0), Expires: expires,
			Value: Session{Availability: Busy, Activity: ActBusy, Leased: leased}}
	}
	until := at(30 * time.Second)
	r := recordOf([]Element{
		session("app", false, at(1)), session("cleared", true, at(1)), session("long", true, at(hour)),
		session("lapsed", true, at(-5*min1)), session("lost", true, at(-10*min1)), session("short", true, at(time.Second)),
		session("long gone", true, at(-30*24*hour)),
		{Key: NoteKey, Expires: at(1), Value: Note{}},
	})
	cleared := Element{Key: SessionKey("cleared"), Stamp: stamped(1), Expires: at(1)}
	r.Merge(cleared)
	before := r.Clone()
	r.GraceLeases(until)
	for _, e := range r.Elements() {
		old, _ := before.Get(e.Key)
		switch e.Key {
		case "session/lapsed", "session/short", "session/lost", "session/long gone":
			old.Expires = until
		}
		if !cmp.Equal(e, old) {
			t.Errorf("%s: got %v, want %v", e.Key, e, old)
		}
	}
}

// A lease that has ended is cleared, once, so that no grace can revive it.
func TestEndLeases(t *testing.T) {
	r := recordOf([]Element{
		{Key: SessionKey("app"), Stamp: stamped(0), Expires: at(-time.Second), Value: Session{Availability: Busy, Activity: ActBusy}},
		{Key: SessionKey("ended"), Stamp: stamped(0), Expires: at(0), Value: Session{Availability: Busy, Activity: ActBusy, Leased: true}},
		{Key: SessionKey("live"), Stamp: stamped(0), Expires: at(time.Second), Value: Session{Availability: Away, Activity: ActAway, Leased: true}},
	})
	before, _ := Aggregate(r, t0, Rules{})
	changed := r.EndLeases(stamped(1), t0)
	if len(changed) != 1 || changed[0].Key != SessionKey("ended") || changed[0].Value != nil || changed[0].Stamp != stamped(1) {
		t.Errorf("changed %v", changed)
	}
	if again := r.EndLeases(stamped(2), t0); again != nil {
		t.Errorf("changed again %v", again)
	}
	if after, _ := Aggregate(r, t0, Rules{}); after != before {
		t.Errorf("the aggregate went from %v to %v", before, after)
	}
	r.GraceLeases(at(hour))
	if e, _ := r.Get(SessionKey("ended")); e.Live(t0) {
		t.Error("a grace revived it")
	}
}

func TestGetAndKindOfAnEmptyRecord(t *testing.T) {
	var r Record
	if e, ok := r.Get(NoteKey); ok || e.Key != "" {
		t.Errorf("got %v", e)
	}
	if len(r.Kind(KindSession)) != 0 || r.Newest() != 0 || r.Join(&Record{}) {
		t.Error("an empty record holds something")
	}
	r.GraceLeases(1)
	if got := r.Compact(t0, 0); got != nil {
		t.Errorf("dropped %v", got)
	}
}

func TestCloneIsApart(t *testing.T) {
	u := newUser(t)
	u.must(u.client("1", "Busy/Busy", Web))
	c := u.rec.Clone()
	u.must(u.client("1", "Away/Away", Web), u.client("2", "Away/Away", Web))
	if s, _ := Aggregate(&c, u.now, Rules{}); s.Availability != Busy || len(c.Elements()) != 1 {
		t.Errorf("the clone changed: %v", c.Elements())
	}
}

func TestNewest(t *testing.T) {
	r := recordOf([]Element{{Key: NoteKey, Stamp: Stamp{Version: 3}}, {Key: PreferredKey, Stamp: Stamp{Version: 9}}, {Key: CalendarKey}})
	if got := r.Newest(); got != 9 {
		t.Errorf("got %d", got)
	}
}

func TestKeys(t *testing.T) {
	for _, tt := range []struct {
		key        Key
		kind, rest string
	}{
		{SessionKey("a"), "session", "a"}, {PreferredKey, "preferred", ""}, {NoteKey, "note", ""},
		{CalendarKey, "calendar", ""}, {CallKey("c"), "call", "c"}, {WatchKey("e"), "watch", "e"},
		{LocationKey(Manual), "location", "manual"}, {LocationKey(Automatic), "location", "automatic"},
		{LocationKey(Scheduled), "location", "scheduled"}, {LocationKey(3), "location", "invalid"},
		{BlockKey(bob), "block", "00000000-0000-0000-0000-00000000000b/8:orgid:00000000-0000-0000-0000-0000000000b1"},
	} {
		if kind, rest := tt.key.Split(); kind != tt.kind || rest != tt.rest {
			t.Errorf("%s splits into %q and %q", tt.key, kind, rest)
		}
	}
}

func TestLive(t *testing.T) {
	v := Block{}
	for _, tt := range []struct {
		e    Element
		want bool
	}{
		{Element{Value: v}, true}, {Element{}, false}, {Element{Value: v, Expires: at(0)}, false},
		{Element{Value: v, Expires: at(time.Millisecond)}, true}, {Element{Expires: at(hour)}, false},
	} {
		if got := tt.e.Live(t0); got != tt.want {
			t.Errorf("%v live: %t", tt.e, got)
		}
	}
}
