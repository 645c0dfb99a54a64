package limit

import (
	"fmt"
	"time"
)

// MaxQuota is the largest Quota.Max; a Window of it takes 512 KiB.
const MaxQuota = 1 << 16

// Quota allows Max different targets in each Per. One with a field out of range
// allows nothing.
type Quota struct {
	Max int           // 1 to MaxQuota
	Per time.Duration // a second or more
}

// Validate returns ErrRate for a quota that would allow nothing.
func (q Quota) Validate() error {
	if !q.valid() {
		return fmt.Errorf("%w: %d targets in %v: want 1 to %d in a second or more", ErrRate, q.Max, q.Per, MaxQuota)
	}
	return nil
}

func (q Quota) valid() bool {
	return q.Max >= 1 && q.Max <= MaxQuota && q.Per >= time.Second
}

// step is a 32nd of Per in ns, rounded up: no target may leave early.
func (q Quota) step() int64 { return (int64(q.Per)-1)/steps + 1 }

// Window counts the different targets used in the time before now. The zero
// value is an empty one and holds no memory beside itself.
//
// It errs twice, both by little. A target counts for at least Per after its
// last use and at most Per/32 (3.2 %) longer, which is the strict side. Targets
// are told apart by 26 bits of their hash, so at n counted targets a new one is
// taken for a known one, and passes uncounted, once in 67 million / n times: 1 in
// 3,355 at 20,000. Memory is 4 bytes a slot in a table at most 3/4 full: 256 B
// at 40 targets, 32 KiB at 5,000, 128 KiB at 20,000.
type Window struct {
	slots []uint32 // fingerprint << 6 | step; 0 is free
	start int64    // unix ns at which the present step began
	step  uint8    // 0 to 63, the present step
	old   uint8    // steps since the oldest target was last used, at least
	used  int32
}

// steps is how many steps a Per has. A step number has room for twice as many,
// so that one from before the window cannot pass for one in it.
const (
	steps    = 32
	stepBits = 6
	stepMask = 1<<stepBits - 1
)

// Add notes a use of target, a keyed hash of its name (hash/maphash). A
// target that counts already is always allowed, and counts on from now. A new
// one is refused, and not noted, when Max others count; it is useless to ask
// again for a new one before retryAfter, when the oldest may have left.
func (w *Window) Add(target uint64, now time.Time, quota Quota) (ok bool, retryAfter time.Duration) {
	if !quota.valid() {
		return false, Never
	}
	length := quota.step()
	ns := now.UnixNano()
	w.move(ns, length)
	mark := fingerprint(target)
	if i, known := w.find(mark); known {
		w.slots[i] = mark<<stepBits | uint32(w.step)
		return true, 0
	}
	if int(w.used) >= quota.Max {
		left := int64(steps+1-int(w.old))*length - (ns - w.start)
		return false, time.Duration(max(left, 1))
	}
	if 4*(int(w.used)+1) > 3*len(w.slots) {
		w.rebuild(max(8, 2*len(w.slots)), 0)
	}
	i, _ := w.find(mark)
	w.slots[i] = mark<<stepBits | uint32(w.step)
	w.used++
	return true, 0
}

// Len is the number of targets that count at now under quota.
func (w *Window) Len(now time.Time, quota Quota) int {
	if quota.valid() {
		w.move(now.UnixNano(), quota.step())
	}
	return int(w.used)
}

// move goes to the step of a time and drops the targets that count no more. A
// clock set back begins the present step anew.
func (w *Window) move(ns, length int64) {
	passed := (ns - w.start) / length
	switch {
	case ns < w.start:
		w.start = ns
	case w.used == 0 || passed > steps:
		*w = Window{start: ns}
	case passed > 0:
		w.sweep(int(passed))
		w.start += passed * length
		w.step = (w.step + uint8(passed)) & stepMask
	}
}
