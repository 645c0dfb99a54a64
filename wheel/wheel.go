package wheel

import (
	"context"
	"math"
	"sync"
	"time"
)

// Defaults for New: a round of 205 s, in which most re-sends and idle times lie.
const (
	DefaultTick  = 50 * time.Millisecond
	DefaultSlots = 4096
)

// Target is the owner of a timer.
type Target interface {
	// Fire says that t was due at now. It runs on the wheel's goroutine, outside
	// its lock, and must not block; it may call Schedule and Stop. t tells
	// apart the timers of one owner and is already disarmed.
	Fire(t *Timer, now time.Time)
}

// Timer is one pending moment of its owner, who embeds it. Target is set once,
// before the first Schedule. A Timer must not be copied, and belongs to one wheel.
type Timer struct {
	_      noCopy
	Target Target
	next   *Timer
	link   **Timer // what points at this timer; nil while it is not armed
	at     int64   // ns after the wheel's start
}

type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// Wheel holds the armed timers. All methods may be called from any goroutine.
type Wheel struct {
	tick int64

	driving sync.Mutex // held through an Advance; before mu
	due     []*Timer   // scratch of Advance

	mu      sync.Mutex
	slots   []*Timer
	work    *Timer    // the slot Advance is looking through
	now     time.Time // of the latest Advance
	elapsed int64     // ns from the start to now
	armed   int

	stop context.CancelFunc
	done sync.WaitGroup
}

// New returns a wheel that stands still until Start or Advance. A tick below a
// millisecond counts as DefaultTick; slots are rounded up to a power of two and
// below one count as DefaultSlots.
func New(tick time.Duration, slots int) *Wheel {
	if tick < time.Millisecond {
		tick = DefaultTick
	}
	if slots < 1 {
		slots = DefaultSlots
	}
	n := 1
	for n < slots {
		n *= 2
	}
	return &Wheel{tick: int64(tick), slots: make([]*Timer, n), now: time.Now()}
}

// Schedule arms t for a moment, or moves it there when it is armed already. A
// moment that has passed fires with the next tick. If t is being fired at this
// very moment, it fires once for that and once for the new moment.
func (w *Wheel) Schedule(t *Timer, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.link != nil {
		t.unlink()
	} else {
		w.armed++
	}
	wait := max(int64(at.Sub(w.now)), 1) // above 0: what a Fire arms waits for the next tick
	t.at = w.elapsed + min(wait, math.MaxInt64-w.elapsed)
	t.push(w.slot(t.at / w.tick))
}

// Stop disarms t. True means that it was armed and does not fire; false that it
// was not armed, has fired, or is being fired now.
func (w *Wheel) Stop(t *Timer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.link == nil {
		return false
	}
	t.unlink()
	w.armed--
	return true
}

// Len is the number of armed timers.
func (w *Wheel) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.armed
}

// Advance fires what is due at now, on the calling goroutine. A time before
// that of an earlier call fires nothing new. It must not be called by Fire.
func (w *Wheel) Advance(now time.Time) {
	w.driving.Lock()
	defer w.driving.Unlock()
	hand, last := w.begin(now)
	for ; hand <= last; hand++ {
		w.turn(hand, now)
	}
}

// begin moves the time and returns the slots to look through. The slot of the
// present tick is looked through now and once more when the tick has passed.
func (w *Wheel) begin(now time.Time) (first, last int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first = w.elapsed / w.tick
	if d := int64(now.Sub(w.now)); d > 0 {
		w.elapsed += min(d, math.MaxInt64-w.elapsed)
		w.now = now
	}
	last = w.elapsed / w.tick
	return max(first, last-int64(len(w.slots))+1), last
}

// turn fires what is due in one slot. The lock is given back between chunks, so
// that a crowded slot holds up nobody for long.
func (w *Wheel) turn(hand int64, now time.Time) {
	w.mu.Lock()
	slot := w.slot(hand)
	if *slot == nil {
		w.mu.Unlock()
		return
	}
	w.work = *slot
	w.work.link = &w.work
	*slot = nil
	for w.work != nil {
		due := w.collect(slot)
		w.mu.Unlock()
		for i, t := range due {
			due[i] = nil
			t.Target.Fire(t, now)
		}
		w.mu.Lock()
	}
	w.mu.Unlock()
}

// chunk is the number of timers looked at under one hold of the lock.
const chunk = 256

// collect takes due timers off the work list and puts those of later ticks back
// into their slot.
func (w *Wheel) collect(slot **Timer) []*Timer {
	w.due = w.due[:0]
	for n := 0; n < chunk && w.work != nil; n++ {
		t := w.work
		t.unlink()
		if t.at > w.elapsed {
			t.push(slot)
			continue
		}
		w.armed--
		w.due = append(w.due, t)
	}
	return w.due
}

func (w *Wheel) slot(tick int64) **Timer {
	return &w.slots[tick&int64(len(w.slots)-1)]
}

func (t *Timer) push(head **Timer) {
	t.next, t.link = *head, head
	if t.next != nil {
		t.next.link = &t.next
	}
	*head = t
}

func (t *Timer) unlink() {
	*t.link = t.next
	if t.next != nil {
		t.next.link = t.link
	}
	t.next, t.link = nil, nil
}
