package presence

import "math"

// boundary is the first millisecond after v.ms at which an expiry, a fade or a
// calendar entry could change the state; MaxInt64 when there is none.
func (v *view) boundary() int64 {
	b := bound{after: v.ms, first: math.MaxInt64}
	for _, e := range v.sessions {
		s, ok := e.Value.(Session)
		if !ok || !e.liveAt(v.ms) {
			continue
		}
		b.expiry(e)
		if s.Availability == Available {
			b.add(later(s.LastActive, v.rules.IdleAfter))
			b.add(later(s.LastActive, v.rules.AwayAfter))
		}
	}
	for _, e := range v.calls {
		b.expiry(e)
	}
	for _, e := range v.locations {
		b.expiry(e)
	}
	b.expiry(v.preferred)
	b.expiry(v.note)
	b.expiry(v.calendar)
	for _, e := range v.entries() {
		if e.Start < e.End {
			b.add(e.Start)
			b.add(e.End)
		}
	}
	return b.first
}

// bound keeps the earliest of the times that lie after a moment.
type bound struct{ after, first int64 }

func (b *bound) add(ms int64) {
	if ms > b.after {
		b.first = min(b.first, ms)
	}
}

func (b *bound) expiry(e Element) {
	if e.Value != nil && e.Expires != 0 {
		b.add(e.Expires)
	}
}
