package trouter

// linearMax is the length up to which a pending list is searched item by item;
// above it an index is cheaper (see BenchmarkPut).
const linearMax = 32

// maxPending keeps positions within an index slot.
const maxPending = 1<<16 - 2

// index finds a publisher in a long pending list: an open-addressing table of
// positions plus one, at most half full. It is thrown away whenever positions
// shift and built again by the next search.
type index struct {
	slots []uint16
}

func buildIndex(n int, publisher func(int) uint32) *index {
	size := 4 * linearMax
	for size < 4*n {
		size *= 2
	}
	x := &index{slots: make([]uint16, size)}
	for i := range n {
		x.place(i, publisher(i))
	}
	return x
}

// add notes a new last item and returns the index to use from now on.
func (x *index) add(pos int, p uint32, publisher func(int) uint32) *index {
	if 2*(pos+1) > len(x.slots) {
		return buildIndex(pos+1, publisher)
	}
	x.place(pos, p)
	return x
}

func (x *index) place(pos int, p uint32) {
	mask := uint32(len(x.slots) - 1)
	for s := spread(p) & mask; ; s = (s + 1) & mask {
		if x.slots[s] == 0 {
			x.slots[s] = uint16(pos + 1)
			return
		}
	}
}

// spread mixes publisher numbers, which often are neighbours or multiples.
func spread(p uint32) uint32 {
	p = (p ^ p>>16) * 0x7feb352d
	return p ^ p>>15
}

// find is the position of a publisher's pending item, or -1.
func (q *Queue[V]) find(publisher uint32) int {
	if len(q.pending) <= linearMax {
		return q.scan(publisher)
	}
	if q.index == nil {
		q.index = buildIndex(len(q.pending), q.publisher)
	}
	slots := q.index.slots
	mask := uint32(len(slots) - 1)
	for s := spread(publisher) & mask; slots[s] != 0; s = (s + 1) & mask {
		if pos := int(slots[s]) - 1; q.pending[pos].Publisher == publisher {
			return pos
		}
	}
	return -1
}

func (q *Queue[V]) scan(publisher uint32) int {
	for i := range q.pending {
		if q.pending[i].Publisher == publisher {
			return i
		}
	}
	return -1
}

func (q *Queue[V]) publisher(i int) uint32 { return q.pending[i].Publisher }
