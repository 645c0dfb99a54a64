package replica

import "time"

// line holds things in the order in which they were added, which is that of
// their deadlines.
type line[T any] struct{ first, last *link[T] }

// link is the place of a thing in a line.
type link[T any] struct {
	at         time.Duration
	of         T
	prev, next *link[T]
	in         *line[T] // nil: none
}

func (l *line[T]) add(k *link[T], at time.Duration) {
	k.at, k.in, k.prev, k.next = at, l, l.last, nil
	if l.last == nil {
		l.first = k
	} else {
		l.last.next = k
	}
	l.last = k
}

// leave takes a link out of the line that it is in, if any.
func (k *link[T]) leave() {
	l := k.in
	if l == nil {
		return
	}
	if k.prev == nil {
		l.first = k.next
	} else {
		k.prev.next = k.next
	}
	if k.next == nil {
		l.last = k.prev
	} else {
		k.next.prev = k.prev
	}
	k.prev, k.next, k.in = nil, nil, nil
}

func (l *line[T]) due() time.Duration {
	if l.first == nil {
		return never
	}
	return l.first.at
}
