package peers

import (
	"bytes"
	"hash/maphash"
	"slices"

	"rollcall/messages"
)

// notifies are the states that wait for a peer, oldest first. A state replaces
// an older one of its publisher where it is for the same endpoints: for each
// endpoint the newest is kept, since different viewers may be shown different
// states of one publisher.
type notifies struct {
	items []waiting
	base  uint64            // position of items[0]
	last  map[uint64]uint64 // hash of a publisher -> position+1 of its newest
	seed  maphash.Seed
	count int
	bytes int
}

type waiting struct {
	n    *messages.Notify // nil: replaced by a newer one
	hash uint64
	prev uint64 // position+1 of the one before with the same hash
	size int
}

// maxMerge bounds the look at older states of one publisher.
const maxMerge = 64

func (q *notifies) hash(u *messages.User) uint64 {
	if q.last == nil {
		q.last, q.seed = map[uint64]uint64{}, maphash.MakeSeed()
	}
	return maphash.Bytes(q.seed, u.GetTenant()) ^ maphash.String(q.seed, u.GetMri())
}

// add queues n, which belongs to the queue from then on, and returns how many
// older ones it replaces. With room false it is only taken in the place of
// another one.
func (q *notifies) add(n *messages.Notify, size int, room bool) (replaced int, ok bool) {
	h := q.hash(n.Publisher)
	place, replaced := q.supersede(h, n)
	switch {
	case place != nil:
		q.bytes += size
		q.count++
		place.n, place.size = n, size
		return replaced, true
	case !room:
		return 0, false
	}
	q.items = append(q.items, waiting{n: n, hash: h, prev: q.last[h], size: size})
	q.last[h] = q.base + uint64(len(q.items))
	q.bytes += size
	q.count++
	return replaced, true
}

// supersede takes the endpoints of n from older states of the same publisher.
// It returns the oldest place that became free by it.
func (q *notifies) supersede(h uint64, n *messages.Notify) (place *waiting, replaced int) {
	if n.Released {
		return nil, 0
	}
	var sorted []uint32
	at := q.last[h]
	for range maxMerge {
		if at <= q.base {
			break
		}
		w := &q.items[at-1-q.base]
		at = w.prev
		if w.n == nil || !samePublisher(w.n, n) {
			continue
		}
		if w.n.Released || w.n.Version > n.Version {
			break
		}
		if slices.Equal(w.n.Endpoints, n.Endpoints) {
			q.drop(w)
			place = w
			replaced++
			continue
		}
		if sorted == nil {
			sorted = ascending(n.Endpoints)
		}
		rest := without(w.n.Endpoints, sorted)
		if len(rest) == len(w.n.Endpoints) {
			continue
		}
		if len(rest) == 0 {
			q.drop(w)
			place = w
			replaced++
			continue
		}
		w.n = &messages.Notify{
			Publisher: w.n.Publisher, Version: w.n.Version, State: w.n.State,
			Endpoints: rest, Received: w.n.Received,
		}
	}
	return place, replaced
}

func (q *notifies) drop(w *waiting) {
	q.bytes -= w.size
	q.count--
	w.n, w.size = nil, 0
}

// take moves states to dst until a bound is reached; at least one.
func (q *notifies) take(dst []*messages.Notify, items, bytes int) (taken []*messages.Notify, size int) {
	n := 0
	for ; n < len(q.items); n++ {
		w := &q.items[n]
		if w.n != nil {
			if items == 0 || size > 0 && size+w.size > bytes {
				break
			}
			items--
			size += w.size
			dst = append(dst, w.n)
			q.drop(w)
		}
		if q.last[w.hash] == q.base+uint64(n)+1 {
			delete(q.last, w.hash)
		}
	}
	q.base += uint64(n)
	q.items = dropFront(q.items, n)
	return dst, size
}

func samePublisher(a, b *messages.Notify) bool {
	return a.Publisher.GetMri() == b.Publisher.GetMri() &&
		bytes.Equal(a.Publisher.GetTenant(), b.Publisher.GetTenant())
}

func ascending(e []uint32) []uint32 {
	if !slices.IsSorted(e) {
		e = slices.Clone(e)
		slices.Sort(e)
	}
	return e
}

// without is a less what is in the sorted list b.
func without(a, b []uint32) []uint32 {
	var rest []uint32
	for _, e := range a {
		if _, found := slices.BinarySearch(b, e); !found {
			rest = append(rest, e)
		}
	}
	return rest
}

// dropFront removes the first n, and gives the memory of a long queue back once
// it is empty.
func dropFront[T any](s []T, n int) []T {
	if n == len(s) && cap(s) > 1024 {
		return nil
	}
	return slices.Delete(s, 0, n)
}
