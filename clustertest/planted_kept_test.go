package clustertest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"rollcall/presence"
)

func never(write) bool { return false }

func TestForgottenIsFound(t *testing.T) {
	done := func(value string, ms int) write { return write{value: value, at: at(ms), by: "n1"} }
	open := func(value string) write { return write{value: value} }
	for name, tt := range map[string]struct {
		kind   kind
		writes []write
		read   []string
		want   string
	}{
		"the last one":            {noteKind, []write{done("a", 1), done("b", 2)}, []string{"b"}, ""},
		"one before":              {noteKind, []write{done("a", 1), done("b", 2)}, []string{"a"}, `note of keeper 7 was "b" (acknowledged by n1 at 12:00:00.002), and is "a"`},
		"none":                    {noteKind, []write{done("a", 1)}, nil, `and is ""`},
		"an attempt behind it":    {noteKind, []write{done("a", 1), open("b")}, []string{"b"}, ""},
		"the attempt failed":      {noteKind, []write{done("a", 1), open("b")}, []string{"a"}, ""},
		"an attempt before it":    {noteKind, []write{open("a"), done("b", 1)}, []string{"a"}, `was "b"`},
		"nobody's":                {noteKind, []write{done("a", 1), open("b")}, []string{"c"}, `and is "c"`},
		"nothing acknowledged":    {noteKind, []write{open("a")}, nil, ""},
		"the list":                {watchKind, []write{done("x,y", 1)}, []string{"x", "y"}, ""},
		"half of the list":        {watchKind, []write{done("x,y", 1)}, []string{"x"}, `watch list of keeper 7 was "x,y"`},
		"an older list":           {watchKind, []write{done("v,w", 1), done("x,y", 2)}, []string{"v", "w"}, `and is "v,w"`},
		"every block, and more":   {blockKind, []write{done("x", 1), open("y"), done("z", 2)}, []string{"z", "y", "x"}, ""},
		"the first block":         {blockKind, []write{done("x", 1), done("z", 2)}, []string{"z"}, "1 blocks of keeper 7 are gone, as x"},
		"all blocks":              {blockKind, []write{done("x", 1), done("z", 2)}, nil, "2 blocks of keeper 7 are gone"},
		"a block nobody answered": {blockKind, []write{done("x", 1), open("y")}, []string{"x"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			if text := forgotten(place{7, tt.kind}, tt.writes, tt.read, never); text != "" {
				got = append(got, text)
			}
			if tt.want == "" {
				expect(t, got)
			} else {
				expect(t, got, tt.want)
			}
		})
	}
}

func TestOnlyWhatIsFreshIsExcused(t *testing.T) {
	p := &scene{down: map[string]bool{"n1": true, "n3": true}, dark: map[string]time.Time{"n1": at(5000), "n3": at(5001)}}
	writes := []write{{value: "a", at: at(2900), by: "n2"}, {value: "b", at: at(4900), by: "n2"}}
	check := func(read, want string) {
		t.Helper()
		if got := forgotten(place{7, noteKind}, writes, []string{read}, p.fresh); (got != "") != (want != "") {
			t.Errorf("%q read: %q, want %q", read, got, want)
		}
	}
	check("a", "")
	check("", "a is gone, and it was not fresh")
	delete(p.down, "n3") // it is back, and so must be what it had
	check("a", "b is gone")
}

func TestLedgerKeepsOrder(t *testing.T) {
	l := newLedger()
	p := place{1, noteKind}
	first, second := l.attempt(p, "a"), l.attempt(p, "b")
	l.attempt(place{2, blockKind}, "x")
	l.acked(p, second, "n1", at(1))
	got := l.copy()
	if len(got) != 1 || len(got[p]) != 2 || got[p][first].acked() || !got[p][second].acked() || l.count() != 1 {
		t.Errorf("%+v", got)
	}
}

func TestUntoldIsFound(t *testing.T) {
	entries := map[shownAs]shown{{2, 5}: calm, {2, 6}: onPhone}
	sights := []sight{
		{user: 2, version: 5, state: calm}, {user: 2, version: 6, state: onPhone}, {user: 3, version: nobodyYet, state: away},
		{user: 4, version: 9, state: shown{presence.PresenceUnknown, presence.ActPresenceUnknown}},
	}
	expect(t, untold(entries, sights, nil))
	expect(t, untold(entries, append(sights, sight{user: 2, version: 7, state: calm, at: start}, sight{user: 2, version: 7, state: calm}), nil),
		"has not told version A00000000000000000007 of user 2")
	expect(t, untold(entries, []sight{{user: 2, version: 6, state: calm}}, nil), "as Busy/InACall, seen was Available/Available")
	expect(t, untold(entries, []sight{{user: 2, version: 8, state: onPhone}}, map[presence.Version]bool{8: true}))
}

func TestFeedReaderFindsWhatIsWrong(t *testing.T) {
	f := &feedReader{cluster: &cluster{}, token: feedStart, entries: map[shownAs]shown{}}
	newest := map[int]presence.Version{}
	line := func(token string, user, version int) {
		f.line("http://x", fmt.Appendf(nil, `{"token":%q,"item":{"user":%q,"version":"A%020d","availability":"Busy","activity":"InACall"}}`,
			token, userMRI(user), version), newest)
	}
	line("t1", 2, 5)
	line("t2", 3, 4)
	line("t3", 2, 5) // at least once
	line("t4", 2, 6)
	f.line("http://x", []byte(`{"token":"t5","item":{"us`), newest)
	if f.token != "t4" || len(f.entries) != 3 {
		t.Errorf("token %s, %v", f.token, f.entries)
	}
	expect(t, f.problems)
	line("t5", 2, 5)
	f.line("http://x", []byte(`{"error":{"code":"resync","message":"x"}}`), newest)
	expect(t, f.problems, "told version A00000000000000000005 of user 2 behind A00000000000000000006", "resync")
	if f.token != feedStart {
		t.Errorf("it goes on with %s", f.token)
	}
	f.renewed()
	f.resync("promised")
	if len(f.problems) != 2 || f.resyncs != 1 {
		t.Errorf("%d promised resyncs, %q", f.resyncs, f.problems)
	}
}

func TestTrespassIsFound(t *testing.T) {
	have := map[pair]presence.Availability{{1, 2}: presence.PresenceUnknown, {1, 3}: presence.PresenceUnknown}
	expect(t, trespass(have, true))
	have[pair{1, 3}] = presence.Offline
	expect(t, trespass(have, true), "outsider 1 sees user 3 as offline")
	expect(t, trespass(have, false), "outsider 1 sees user 2 as presenceunknown")
}

func TestDamageIsDone(t *testing.T) {
	file := append([]byte("header and records"), make([]byte, 100)...)
	if n := used(file); n != 18 {
		t.Errorf("%d bytes are used, want 18", n)
	}
	if n := used(make([]byte, 9)); n != 0 {
		t.Errorf("%d bytes of nothing are used", n)
	}
}

func TestSurelyNotMade(t *testing.T) {
	var got []bool
	for _, err := range []error{
		&refusal{429, "publish_rate", ""}, &refusal{507, "storage_low", ""}, &refusal{503, "min_copies", ""},
		&refusal{503, "outcome_unknown", ""}, &refusal{500, "internal", ""}, &refusal{502, "", "a proxy's"}, fmt.Errorf("reset"),
	} {
		got = append(got, surely(err))
	}
	if !slices.Equal(got, []bool{true, true, true, false, false, false, false}) {
		t.Error(got)
	}
}
