package clustertest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// kind is what a keeper writes.
type kind int

const (
	noteKind  kind = iota // a note: the last one counts
	watchKind             // the list that an endpoint watches: the last one counts
	blockKind             // who is blocked: every one counts, none is taken off
)

func (k kind) String() string { return []string{"note", "watch list", "blocks"}[k] }

// place is where writes replace one another, or come together.
type place struct {
	keeper int
	kind   kind
}

// write is one attempt: nobody makes it again unless it was refused.
type write struct {
	value string
	began time.Time
	at    time.Time // of the acknowledgement; zero: there was none
	by    string    // node that gave it
}

func (w write) acked() bool { return !w.at.IsZero() }

// ledger is what the keepers have written, in the order of each place.
type ledger struct {
	mu     sync.Mutex
	places map[place][]write
}

func newLedger() *ledger { return &ledger{places: map[place][]write{}} }

// attempt notes a write that is about to be made, and gives its number.
func (l *ledger) attempt(p place, value string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.places[p] = append(l.places[p], write{value: value, began: time.Now()})
	return len(l.places[p]) - 1
}

func (l *ledger) acked(p place, number int, by string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &l.places[p][number]
	w.at, w.by = at, by
}

// copy is the ledger as of now, without places where nothing was acknowledged.
func (l *ledger) copy() map[place][]write {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[place][]write{}
	for p, ws := range l.places {
		if slices.ContainsFunc(ws, write.acked) {
			all[p] = slices.Clone(ws)
		}
	}
	return all
}

// count is how many writes were acknowledged.
func (l *ledger) count() (n int) {
	for _, ws := range l.copy() {
		for _, w := range ws {
			if w.acked() {
				n++
			}
		}
	}
	return n
}

// forgotten says what is missing of a place in what was read of it, empty if
// nothing is: of a note or list the last acknowledged value or one attempted
// later must be there, of blocks every acknowledged one. Writes that fresh
// excuses need not be there.
func forgotten(p place, writes []write, read []string, fresh func(write) bool) string {
	if p.kind == blockKind {
		var missing []string
		for _, w := range writes {
			if w.acked() && !fresh(w) && !slices.Contains(read, w.value) {
				missing = append(missing, w.value+" ("+w.told()+")")
			}
		}
		if len(missing) > 0 {
			return fmt.Sprintf("%d blocks of keeper %d are gone, as %s", len(missing), p.keeper, missing[0])
		}
		return ""
	}
	last := -1
	for i, w := range writes {
		if w.acked() && !fresh(w) {
			last = i
		}
	}
	if last < 0 {
		return ""
	}
	got := strings.Join(read, ",")
	if slices.ContainsFunc(writes[last:], func(w write) bool { return w.value == got }) {
		return ""
	}
	w := writes[last]
	return fmt.Sprintf("%s of keeper %d was %q (%s), and is %q", p.kind, p.keeper, w.value, w.told(), got) + instead(writes, got, w)
}

func (w write) told() string {
	if !w.acked() {
		return "not acknowledged"
	}
	return fmt.Sprintf("acknowledged by %s at %s", w.by, w.at.Format("15:04:05.000"))
}

// instead tells of the write whose value was read, which began how long before
// another one.
func instead(writes []write, got string, w write) string {
	i := slices.IndexFunc(writes, func(w write) bool { return w.value == got })
	if i < 0 {
		return ""
	}
	o := writes[i]
	text := fmt.Sprintf(" (%s", o.told())
	if o.acked() {
		text += fmt.Sprintf(" after %s", o.at.Sub(o.began).Round(time.Millisecond))
	}
	return text + fmt.Sprintf(", begun %s before the other)", w.began.Sub(o.began).Round(time.Millisecond))
}
