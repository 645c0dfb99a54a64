package limit

// The table of a Window: open addressing, linear probing, at most 3/4 full.
// Targets leave only by a rebuild, so a search ends at the first free slot.

// fingerprint is 26 bits of a target's hash, never 0.
func fingerprint(target uint64) uint32 {
	return max(uint32((target*0x9e3779b97f4a7c15)>>(32+stepBits)), 1)
}

// find is the slot of a fingerprint, or the free one where it belongs; -1 in a
// table without slots.
func (w *Window) find(mark uint32) (i int, known bool) {
	if len(w.slots) == 0 {
		return -1, false
	}
	mask := len(w.slots) - 1
	for i = int(mark) & mask; w.slots[i] != 0; i = (i + 1) & mask {
		if w.slots[i]>>stepBits == mark {
			return i, true
		}
	}
	return i, false
}

// age is the number of steps since a slot's target was last used.
func (w *Window) age(slot uint32) int { return int((uint32(w.step) - slot) & stepMask) }

// sweep drops the targets that count no more when passed more steps are over.
// It runs once a step at most.
func (w *Window) sweep(passed int) {
	kept, oldest := 0, 0
	for _, slot := range w.slots {
		if age := w.age(slot) + passed; slot != 0 && age <= steps {
			kept++
			oldest = max(oldest, age)
		}
	}
	w.old = uint8(oldest)
	if kept == int(w.used) {
		return
	}
	size := 8
	for 4*kept > 3*size {
		size *= 2
	}
	w.rebuild(size, passed)
}

// rebuild moves to a table of another size what counts when passed more steps
// are over.
func (w *Window) rebuild(size, passed int) {
	slots := w.slots
	w.slots, w.used = make([]uint32, size), 0
	for _, slot := range slots {
		if slot == 0 || w.age(slot)+passed > steps {
			continue
		}
		i, _ := w.find(slot >> stepBits)
		w.slots[i] = slot
		w.used++
	}
}
