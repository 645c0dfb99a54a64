package clustertest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"rollcall/presence"
)

// item is a user's presence at one place: as a node reads it, or as a watcher
// has it.
type item struct {
	version presence.Version
	state   shown
}

func (i item) String() string { return fmt.Sprintf("%s (%s)", i.state, i.version) }

// standing is what one watcher has of one user.
type standing struct {
	watcher, user int
	has           item
}

type pair struct{ watcher, user int }

// backward finds watchers to whom a version went back.
func backward(sights []sight) []string {
	var out []string
	last := map[pair]presence.Version{}
	for _, s := range sights {
		p := pair{s.watcher, s.user}
		if s.version < last[p] {
			out = append(out, fmt.Sprintf("user %d saw user %d go back from %s to %s", s.watcher, s.user, last[p], s.version))
		}
		last[p] = max(last[p], s.version)
	}
	return out
}

// forked finds versions that showed one thing to one watcher and another to
// another.
func forked(sights []sight) []string {
	type key struct {
		user    int
		version presence.Version
	}
	var out []string
	first := map[key]sight{}
	for _, s := range sights {
		k := key{s.user, s.version}
		if f, ok := first[k]; !ok {
			first[k] = s
		} else if f.state != s.state {
			out = append(out, fmt.Sprintf("version %s of user %d is %s for user %d and %s for user %d",
				s.version, s.user, f.state, f.watcher, s.state, s.watcher))
		}
	}
	return out
}

// unequal finds watchers who have something else than what is read. The version
// of a policy may stand for an older one: who registers anew is shown it.
func unequal(have []standing, truth map[int]item, policies map[presence.Version]bool) []string {
	var out []string
	for _, s := range have {
		t := truth[s.user]
		if policies[s.has.version] && s.has.version > t.version {
			t.version = s.has.version
		}
		if s.has != t {
			out = append(out, fmt.Sprintf("user %d has %s of user %d, who is %s", s.watcher, s.has, s.user, t))
		}
	}
	return out
}

// lost finds users whose last acknowledged publish is not what is read, except
// where it went down with the node that owned the user.
func lost(acks []ack, truth map[int]item, excused func(ack) bool) []string {
	last := map[int]ack{}
	for _, a := range acks {
		last[a.user] = a
	}
	var out []string
	for _, user := range sorted(last) {
		a, t := last[user], truth[user]
		if (t.version < a.version || t.state != a.state) && !excused(a) {
			out = append(out, fmt.Sprintf("user %d published %s (%s), acknowledged, owner %q, gateway %q; read is %s",
				user, a.state, a.version, a.owner, a.gateway, t))
		}
	}
	return out
}

// ghosts finds users without a device who are still shown.
func ghosts(have []standing, truth map[int]item, gone map[int]bool) []string {
	var out []string
	for _, user := range sorted(gone) {
		if t := truth[user]; t.state.availability != presence.Offline {
			out = append(out, fmt.Sprintf("user %d has no device and reads as %s", user, t))
		}
	}
	for _, s := range have {
		if gone[s.user] && s.has.state.availability != presence.Offline {
			out = append(out, fmt.Sprintf("user %d has no device and is %s for user %d", s.user, s.has, s.watcher))
		}
	}
	return out
}

// falseOffline finds users who were shown as offline although their device was
// there, or back in time.
func falseOffline(sights []sight, may func(watcher, user int) bool) []string {
	var out []string
	there := map[pair]bool{}
	for _, s := range sights {
		p := pair{s.watcher, s.user}
		off := s.state.availability == presence.Offline
		if off && there[p] && !may(s.watcher, s.user) {
			out = append(out, fmt.Sprintf("user %d was offline for user %d at %s", s.user, s.watcher, s.at.Format("15:04:05.000")))
		}
		there[p] = !off
	}
	return out
}

// correct is the time from a fault until the last watcher had what was published
// after it, and nobody lagged more than usual any more.
func correct(acks []ack, sights []sight, fault time.Time) time.Duration {
	byUser := map[int][]ack{}
	for _, a := range acks {
		byUser[a.user] = append(byUser[a.user], a)
	}
	byPair := map[pair][]sight{}
	for _, s := range sights {
		byPair[pair{s.watcher, s.user}] = append(byPair[pair{s.watcher, s.user}], s)
	}
	var last time.Duration
	for p, seen := range byPair {
		first := true
		for _, a := range byUser[p.user] {
			at, ok := reached(seen, a.version)
			since := a.at
			if since.Before(fault) {
				since = fault
			}
			late := ok && at.Sub(since) > usual
			if ok && (late || first && a.at.After(fault)) {
				last = max(last, at.Sub(fault))
			}
			first = first && !a.at.After(fault)
		}
	}
	return last
}

// reached is when a watcher first had a version or a later one.
func reached(seen []sight, v presence.Version) (time.Time, bool) {
	for _, s := range seen {
		if s.version >= v {
			return s.at, true
		}
	}
	return time.Time{}, false
}

// served is how long publishes that were due between two moments took.
func served(acks []ack, from, to time.Time, pick func(ack) bool) []time.Duration {
	var out []time.Duration
	for _, a := range acks {
		if !a.due.Before(from) && a.due.Before(to) && pick(a) {
			out = append(out, a.at.Sub(a.due))
		}
	}
	slices.Sort(out)
	return out
}

// part is the value below which so many of a hundred lie, of sorted ones.
func percent(sorted []time.Duration, of int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*of/100)]
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
