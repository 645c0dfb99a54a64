package presence

import (
	"slices"
	"sort"
	"strings"
	"time"
)

// Record is everything known about one user: one element per key. It is a join
// semilattice: Merge and Join are commutative, associative and idempotent, so
// copies may meet in any order. The zero value is an empty record. One caller
// at a time.
type Record struct{ elements []Element }

// Get returns the element of a key, cleared and expired ones too.
func (r *Record) Get(k Key) (Element, bool) {
	i, ok := r.find(k)
	if !ok {
		return Element{}, false
	}
	return r.elements[i], true
}

// Elements returns all elements sorted by key, cleared and expired ones too.
// The slice is the record's own: read only, and valid until the next change.
func (r *Record) Elements() []Element { return r.elements }

// Kind returns the part of Elements that is of one kind. It builds no string:
// Aggregate calls it for every kind it reads.
func (r *Record) Kind(kind string) []Element {
	lo, once := r.find(Key(kind))
	if once {
		return r.elements[lo : lo+1]
	}
	for lo < len(r.elements) && before(r.elements[lo].Key, kind) {
		lo++
	}
	hi := lo
	for hi < len(r.elements) && under(r.elements[hi].Key, kind) {
		hi++
	}
	return r.elements[lo:hi]
}

// Merge takes e if it is newer than what the record has under its key: by
// stamp, and between equal stamps by a fixed order in which cleared, then the
// longer life, then the greater content wins. It returns true if r changed.
func (r *Record) Merge(e Element) bool {
	i, ok := r.find(e.Key)
	if !ok {
		r.elements = slices.Insert(r.elements, i, e)
		return true
	}
	if compareElements(e, r.elements[i]) <= 0 {
		return false
	}
	r.elements[i] = e
	return true
}

// Join merges every element of o, which stays as it is. It returns true if r
// changed.
func (r *Record) Join(o *Record) bool {
	changed := false
	for _, e := range o.elements {
		if r.Merge(e) {
			changed = true
		}
	}
	return changed
}

// Clone returns a copy that changes apart from r. Values are shared: they never
// change.
func (r *Record) Clone() Record { return Record{elements: slices.Clone(r.elements)} }

// Compact drops expired and cleared elements once keep has passed since both
// their end and their last change, and returns their keys. It is safe when keep
// is longer than any copy can stay out of touch and than any session can last.
// Registers of fixed keys (preferred, note, calendar, location) are few and
// always stay: an older copy of them may never expire.
func (r *Record) Compact(now time.Time, keep time.Duration) (dropped []Key) {
	return r.Drop(func(e Element) bool { return e.Spent(now, keep) })
}

// Drop removes the elements that gone picks and returns their keys.
func (r *Record) Drop(gone func(Element) bool) (dropped []Key) {
	r.elements = slices.DeleteFunc(r.elements, func(e Element) bool {
		if !gone(e) {
			return false
		}
		dropped = append(dropped, e.Key)
		return true
	})
	return dropped
}

// Spent tells whether Compact drops e.
func (e Element) Spent(now time.Time, keep time.Duration) bool {
	return !e.Live(now) && max(e.Expires, e.Stamp.Version.Millis()) <= now.Add(-keep).UnixMilli() && !fixed(e.Key)
}

// Newest is the highest version of any element: a restarted clock observes it.
func (r *Record) Newest() Version {
	var v Version
	for i := range r.elements {
		v = max(v, r.elements[i].Stamp.Version)
	}
	return v
}

// GraceLeases makes every leased session that would end before until (unix ms)
// end at until, so that a new owner or a restart turns nobody offline before
// the clients could renew. Renewals are not stored, so an old expiry says
// nothing: an owner stores the end of a lease with EndLeases, and what is not
// ended so may still be alive. Stamps do not change.
func (r *Record) GraceLeases(until int64) {
	sessions := r.Kind(KindSession)
	for i := range sessions {
		e := &sessions[i]
		if s, ok := e.Value.(Session); ok && s.Leased && e.Expires != 0 && e.Expires < until {
			e.Expires = until
		}
	}
}

// EndLeases clears every leased session whose time has come and returns the
// elements to commit, stamped with at. The aggregate does not change by it.
func (r *Record) EndLeases(at Stamp, now time.Time) (changed []Element) {
	sessions := r.Kind(KindSession)
	for i := range sessions {
		e := &sessions[i]
		if s, ok := e.Value.(Session); ok && s.Leased && !e.Live(now) {
			*e = Element{Key: e.Key, Stamp: at, Expires: e.Expires}
			changed = append(changed, *e)
		}
	}
	return changed
}

func (r *Record) find(k Key) (int, bool) {
	i := sort.Search(len(r.elements), func(i int) bool { return r.elements[i].Key >= k })
	return i, i < len(r.elements) && r.elements[i].Key == k
}

// before tells whether k, which is not less than kind, still sorts before every
// key of kind that has an id.
func before(k Key, kind string) bool {
	return strings.HasPrefix(string(k), kind) && k[len(kind)] < '/'
}

func under(k Key, kind string) bool {
	return len(k) > len(kind) && k[len(kind)] == '/' && string(k[:len(kind)]) == kind
}

func fixed(k Key) bool {
	kind, _ := k.Split()
	switch kind {
	case KindPreferred, KindNote, KindCalendar, KindLocation:
		return true
	}
	return false
}
