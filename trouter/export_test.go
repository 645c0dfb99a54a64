package trouter

import "time"

// HoldsNothing reports that the queue refers to no memory but its own.
func (q *Queue[V]) HoldsNothing() bool {
	return q.pending == nil && q.flight == nil && q.index == nil && q.bytes == 0 && q.base == time.Time{}
}
