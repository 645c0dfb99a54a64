package clustertest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/presence"
)

var (
	start   = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	calm    = shown{presence.Available, presence.ActAvailable}
	onPhone = shown{presence.Busy, presence.ActInACall}
	away    = shown{presence.Offline, presence.ActOffline}
)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// expect checks that a judgment finds what was planted, and nothing besides.
func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d findings, want %d: %q", len(got), len(want), got)
	}
	for i, w := range want {
		if !strings.Contains(got[i], w) {
			t.Errorf("%q says nothing of %q", got[i], w)
		}
	}
}

func TestBackwardIsFound(t *testing.T) {
	sights := []sight{
		{watcher: 1, user: 2, version: 5}, {watcher: 1, user: 3, version: 4},
		{watcher: 4, user: 2, version: 4}, {watcher: 1, user: 2, version: 6},
	}
	expect(t, backward(sights))
	sights = append(sights, sight{watcher: 1, user: 2, version: 5}, sight{watcher: 1, user: 2, version: 6})
	expect(t, backward(sights), "user 1 saw user 2 go back")
}

func TestForkIsFound(t *testing.T) {
	sights := []sight{{watcher: 1, user: 2, version: 5, state: calm}, {watcher: 3, user: 2, version: 5, state: calm}}
	expect(t, forked(sights))
	expect(t, forked(append(sights, sight{watcher: 4, user: 2, version: 5, state: onPhone})), "is Available/Available for user 1")
}

func TestUnequalIsFound(t *testing.T) {
	truth := map[int]item{2: {5, calm}, 3: {7, onPhone}}
	have := []standing{{1, 2, item{5, calm}}, {1, 3, item{7, onPhone}}}
	expect(t, unequal(have, truth, nil))
	for name, s := range map[string]standing{
		"an old version": {4, 3, item{6, onPhone}}, "another state": {4, 3, item{7, calm}}, "nothing": {4, 3, item{}},
	} {
		t.Run(name, func(t *testing.T) { expect(t, unequal(append(have, s), truth, nil), "of user 3") })
	}
	expect(t, unequal([]standing{{1, 9, item{5, calm}}}, truth, nil), "of user 9")
	shut := map[presence.Version]bool{8: true, 4: true}
	expect(t, unequal([]standing{{1, 2, item{8, calm}}}, truth, shut))
	expect(t, unequal([]standing{{1, 2, item{8, onPhone}}}, truth, shut), "of user 2") // another state than is read
	expect(t, unequal([]standing{{1, 2, item{4, calm}}}, truth, shut), "of user 2")    // older than what is read
}

func TestLostIsFound(t *testing.T) {
	nobody := func(ack) bool { return false }
	acks := []ack{
		{user: 1, version: 5, state: calm, owner: "n1"}, {user: 1, version: 6, state: onPhone, owner: "n2"},
		{user: 2, version: 9, state: calm, owner: "n2"},
	}
	truth := map[int]item{1: {6, onPhone}, 2: {10, calm}}
	expect(t, lost(acks, truth, nobody))
	for name, planted := range map[string]item{"older": {5, onPhone}, "another": {6, calm}, "nothing": {}} {
		t.Run(name, func(t *testing.T) {
			spoilt := map[int]item{1: planted, 2: truth[2]}
			expect(t, lost(acks, spoilt, nobody), "user 1 published Busy/InACall")
			expect(t, lost(acks, spoilt, func(a ack) bool { return a.owner == "n1" }), "user 1")
			expect(t, lost(acks, spoilt, func(a ack) bool { return a.owner == "n2" }))
		})
	}
}

func TestGhostIsFound(t *testing.T) {
	gone := map[int]bool{2: true}
	have := []standing{{1, 2, item{8, away}}, {1, 3, item{5, calm}}}
	truth := map[int]item{2: {8, away}, 3: {5, calm}}
	expect(t, ghosts(have, truth, gone))
	expect(t, ghosts(have, map[int]item{2: {8, calm}}, gone), "reads as Available")
	expect(t, ghosts(append(have, standing{4, 2, item{7, calm}}), truth, gone), "for user 4")
}

func TestFalseOfflineIsFound(t *testing.T) {
	sights := []sight{
		{watcher: 1, user: 2, state: away}, {watcher: 1, user: 2, state: calm}, {watcher: 1, user: 3, state: away},
	}
	here := func(_, _ int) bool { return false }
	expect(t, falseOffline(sights, here))
	sights = append(sights, sight{watcher: 1, user: 2, state: away, at: start})
	expect(t, falseOffline(sights, here), "user 2 was offline for user 1 at 12:00:00")
	expect(t, falseOffline(sights, func(_, u int) bool { return u == 2 }))
}

func TestCorrectIsTheLastOne(t *testing.T) {
	acks := []ack{
		{user: 2, at: at(-500), version: 1}, {user: 2, at: at(900), version: 2}, {user: 2, at: at(9000), version: 3},
		{user: 3, at: at(-100), version: 1},
	}
	sights := []sight{
		{watcher: 1, user: 2, version: 1, at: at(-400)}, {watcher: 1, user: 2, version: 2, at: at(1200)},
		{watcher: 1, user: 2, version: 3, at: at(9500)}, {watcher: 1, user: 3, version: 1, at: at(-50)},
	}
	check := func(want int) {
		t.Helper()
		if got := correct(acks, sights, start); got != time.Duration(want)*time.Millisecond {
			t.Errorf("correct after %s, want %d ms", got, want)
		}
	}
	check(1200)
	sights = append(sights, sight{watcher: 4, user: 3, version: 1, at: at(4000)}) // published before, seen late
	check(4000)
	sights = append(sights, sight{watcher: 4, user: 2, version: 2, at: at(5000)})
	check(5000)
	sights = append(sights, sight{watcher: 4, user: 2, version: 3, at: at(20_000)}) // a later publish that lagged
	check(20_000)
}

func TestServedAndPercent(t *testing.T) {
	acks := []ack{
		{user: 1, due: at(-1), at: at(5000), owner: "n1"}, {user: 2, due: at(0), at: at(700), owner: "n1"},
		{user: 3, due: at(100), at: at(200), owner: "n1"}, {user: 4, due: at(100), at: at(150), owner: "n2"},
		{user: 5, due: at(2000), at: at(9000), owner: "n1"},
	}
	got := served(acks, start, at(2000), func(a ack) bool { return a.owner == "n1" })
	want := []time.Duration{100 * time.Millisecond, 700 * time.Millisecond}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i)
	}
	if a, b, c := percent(hundred, 50), percent(hundred, 99), percent(hundred, 100); a != 50 || b != 99 || c != 99 {
		t.Error(a, b, c)
	}
	if percent(nil, 50) != 0 {
		t.Error("of nothing")
	}
}
