package replica

import (
	"slices"
	"time"
)

// entry is an element that a client has asked for.
type entry struct {
	user     int
	acked    bool
	at       time.Duration
	register int
	stamp    uint64
	copies   int // at least so many disks had it when no disk had been lost since
	losses   int // disks lost since
}

// ledger is what clients know.
type ledger struct {
	entries   []entry
	lost      int // disks lost since all was settled last
	settledAt time.Duration
}

func (l *ledger) begin(user int) int {
	if len(l.entries) == maxElements {
		return -1
	}
	l.entries = append(l.entries, entry{user: user})
	return len(l.entries) - 1
}

func (l *ledger) ack(w *world, element, register int, stamp uint64, copies int) {
	e := &l.entries[element]
	e.acked, e.at, e.register, e.stamp, e.copies = true, w.now, register, stamp, copies
}

func (l *ledger) lose() {
	for i := range l.entries {
		l.entries[i].losses++
	}
}

// promised says whether an element must be there: fewer disks were lost than
// had it, and fewer than two.
func (e *entry) promised() bool { return e.acked && e.losses < min(e.copies, 2) }

// lookForRest notes when the cluster is settled. From then on another disk may
// be lost.
func (w *world) lookForRest() {
	if w.settled() {
		w.ledger.lost, w.ledger.settledAt = 0, w.now
		for i := range w.ledger.entries {
			if e := &w.ledger.entries[i]; e.promised() {
				e.losses, e.copies = 0, 3
			}
		}
	}
	w.after(300*time.Millisecond, w.lookForRest)
}

func (w *world) settled() bool {
	for _, x := range w.hosts {
		if x.gone {
			continue
		}
		if x.process == nil || x.paused || !w.agrees(x) || x.process.machine.Status().Unsettled > 0 {
			return false
		}
	}
	return true
}

// agrees says whether a host's view is the truth.
func (w *world) agrees(x *host) bool {
	for _, y := range w.hosts {
		s := y.standing()
		if v := x.process.view[y.id]; v != s && (s.alive || v.alive) {
			return false
		}
	}
	return true
}

// checkKept fails when an element is on no disk that must be on one.
func (w *world) checkKept(when string, args ...any) {
	var all [simUsers]record
	for _, h := range w.hosts {
		for u := range all {
			all[u].merge(&h.disk.users[u])
		}
	}
	for i := range w.ledger.entries {
		e := &w.ledger.entries[i]
		if !e.promised() || all[e.user].has(i) && all[e.user].stamps[e.register] >= e.stamp {
			continue
		}
		w.say("on no disk any more")
		w.fail("element %d of user %d, acknowledged at %.3f s, is lost "+when,
			append([]any{i, e.user, e.at.Seconds()}, args...)...)
		return
	}
}

// checkDropped fails when something that a host has dropped is missing on the
// disk of a host that was to hold it, by the view in which it was dropped.
func (w *world) checkDropped(by Member, was *[simUsers]record, shard uint16, holders []int) {
	for u := int(shard); u < simUsers; u += simShards {
		for _, id := range holders {
			h := w.hosts[id]
			has := h.disk.users[u]
			if changed, _ := has.merge(&was[u]); changed && w.now > h.lost+2*time.Second {
				w.fail("%s has dropped shard %d, but %s has not all of user %d", by, shard, h, u)
			}
		}
	}
}

// checkFresh fails when an actor that was loaded after an acknowledgement does
// not know of it, although it could have asked a member that did.
func (w *world) checkFresh(a *actor, begin beginning) {
	for i := range w.ledger.entries {
		e := &w.ledger.entries[i]
		if e.user != a.user || !e.acked || e.at >= begin.at || a.content.has(i) {
			continue
		}
		if from := w.missed(a.p, i, e, begin); from != nil {
			w.fail("%s has loaded user %d without element %d, acknowledged at %.3f s, which %s has",
				a.p.self(), e.user, i, e.at.Seconds(), from)
		}
	}
}

// missed is a host that p has to have an element from when it begins to load
// its user. Only an owner may rely on what it has compared, and only with a
// member that came into the view with it, or before another owner's handover.
func (w *world) missed(p *process, element int, e *entry, begin beginning) *host {
	s := shardOf(e.user)
	owns := len(p.holders[s]) > 0 && p.holders[s][0] == p.host.id
	for _, y := range w.hosts {
		if y.process == nil || y.paused || !y.disk.users[e.user].has(element) {
			continue
		}
		since := y.disk.since[element]
		if y == p.host {
			if since < begin.at {
				return y
			}
			continue
		}
		v := p.view[y.id]
		if !v.alive || v.process != y.process.number || p.suspects[y.id] || since >= begin.at {
			continue
		}
		mine, its := p.machine.view, y.process.machine.view
		// In a view that came meanwhile all are asked.
		fresh := len(p.been) != begin.views || begin.serials[y.id] == 0 || begin.serials[y.id] == its.serial
		same := mine.table == its.table && fresh
		switch {
		case !owns && slices.Contains(p.holders[s], y.id):
			return y
		case same && since < y.process.entered:
			return y
		case !slices.Contains(y.process.been, mine.table): // so it must be asked
			return y
		case p.handed[s] > since && p.handed[s] < begin.at:
			return y
		}
	}
	return nil
}

// checkRest looks at the cluster long after the last fault.
func (w *world) checkRest(busy, late, ticks int) {
	hosts := 0
	for _, x := range w.hosts {
		if x.gone {
			continue
		}
		hosts++
		if x.leaving {
			w.fail("%s has still not left: %+v", x, x.process.machine.Status())
			return
		}
		if !w.agrees(x) {
			w.fail("the simulator is wrong: %s sees %v", x, x.process.view)
		}
		if s := x.process.machine.Status(); s != (Status{}) {
			w.fail("%s still has %+v", x, s)
		}
		if n := len(x.process.asks); n > 0 {
			w.fail("%s has not ended %d commits and gathers", x, n)
		}
	}
	w.checkAlike()
	w.checkKept("at the end")
	for _, o := range w.watch {
		holders, _ := w.placed(int(shardOf(o.user)))
		if first := holders[0]; first.disk.users[o.user].version != o.known {
			w.fail("an observer of user %d has version %x, %s has %x", o.user, o.known, first, first.disk.users[o.user].version)
		}
	}
	if limit := hosts * (hosts - 1) * 3; late > limit {
		w.fail("%d messages at rest, not at most %d", late, limit)
	}
	if limit := hosts * 12; ticks > limit {
		w.fail("%d ticks at rest, not at most %d", ticks, limit)
	}
	if limit := 75 * len(w.hosts) * (w.views + len(w.hosts)); busy > limit {
		w.fail("%d messages until rest after %d changes of views, not at most %d", busy, w.views, limit)
	}
}

// checkAlike fails unless those who are to hold a shard have the same of it, and
// nobody else has anything.
func (w *world) checkAlike() {
	for s := range simShards {
		holders, others := w.placed(s)
		for _, h := range others {
			if h.disk.roots[s] != 0 {
				w.fail("%s still has shard %d", h, s)
			}
		}
		for _, h := range holders {
			if h.disk.roots[s] != holders[0].disk.roots[s] {
				w.fail("%s and %s differ in shard %d", h, holders[0], s)
			}
		}
		w.checkHolds(holders, s)
	}
}

// placed are the hosts that are to hold a shard in the end, and the rest.
func (w *world) placed(s int) (holders, others []*host) {
	for _, id := range w.rank[s] {
		switch {
		case id >= len(w.hosts) || w.hosts[id].gone:
		case len(holders) < 3 && !w.hosts[id].leaving:
			holders = append(holders, w.hosts[id])
		default:
			others = append(others, w.hosts[id])
		}
	}
	return holders, others
}

// checkRepaired fails unless all that is promised has reached every holder soon
// after the last fault.
func (w *world) checkRepaired() {
	for s := range simShards {
		holders, _ := w.placed(s)
		w.checkHolds(holders, s)
	}
}

// checkHolds fails unless every holder of a shard has all that is promised.
func (w *world) checkHolds(holders []*host, s int) {
	for i := range w.ledger.entries {
		e := &w.ledger.entries[i]
		if int(shardOf(e.user)) != s || !e.promised() {
			continue
		}
		for _, h := range holders {
			if r := &h.disk.users[e.user]; !r.has(i) || r.stamps[e.register] < e.stamp || r.version < e.stamp {
				w.fail("%s lacks element %d of user %d, acknowledged at %.3f s", h, i, e.user, e.at.Seconds())
			}
		}
	}
}
