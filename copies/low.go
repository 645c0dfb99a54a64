package copies

import (
	"errors"
	"time"

	"rollcall/cluster/topology"
	"rollcall/persistence"
	"rollcall/replica"
	"rollcall/wheel"
)

// lowEvery is how often a disk that was full is looked at.
const lowEvery = time.Second

// low remembers what a full disk has not taken, and has it compared when there
// is space again.
type low struct {
	copies *Copies
	timer  wheel.Timer

	// Guarded by Copies.mu.
	missed topology.Set
	next   time.Time // when the disk is looked at; zero: nothing was missed
}

func (l *low) init(c *Copies) {
	l.copies = c
	l.timer.Target = (*ticks)(c)
}

// note takes the answer of the disk for a shard; called with Copies.mu held.
func (l *low) note(shard uint16, err error, now time.Time) {
	if !errors.Is(err, persistence.ErrStorageLow) {
		return
	}
	l.missed.Add(shard)
	if l.next.IsZero() {
		l.arm(now)
	}
}

func (l *low) arm(now time.Time) {
	l.next = now.Add(lowEvery)
	l.copies.cfg.Wheel.Schedule(&l.timer, l.next)
}

// look compares what was missed if the disk has space again.
func (l *low) look(now time.Time) {
	writable := l.copies.cfg.Disk.Writable()
	l.copies.step(func(m *replica.Machine, _ time.Time) {
		if l.next.IsZero() || now.Before(l.next) {
			return
		}
		if !writable {
			l.arm(now)
			return
		}
		shards := make([]uint16, 0, l.missed.Len())
		for s := range l.missed.All() {
			shards = append(shards, s)
		}
		l.missed, l.next = topology.Set{}, time.Time{}
		l.copies.gathers.forget()
		m.Unsettle(now, shards...)
	})
}

func (l *low) stop() { l.copies.cfg.Wheel.Stop(&l.timer) }
