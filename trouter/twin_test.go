package trouter_test

import (
	"slices"
	"time"

	"rollcall/trouter"
)

// twin keeps what the queue should hold.
type twin struct {
	pending []twinItem
	flight  []twinBatch
	seq     uint64
	resync  bool
	gone    bool
}

type twinItem struct {
	publisher uint32
	version   uint64
	size      int
	arrived   time.Time
}

type twinBatch struct {
	seq      uint64
	items    []twinItem
	sent     time.Time
	progress time.Time
	tries    int
}

func (w *twin) bytes() int {
	n := 0
	for _, it := range w.pending {
		n += it.size
	}
	for _, b := range w.flight {
		for _, it := range b.items {
			n += it.size
		}
	}
	return n
}

func (w *twin) find(publisher uint32) int {
	return slices.IndexFunc(w.pending, func(it twinItem) bool { return it.publisher == publisher })
}

func (w *twin) put(it twinItem, lim *trouter.Limits) trouter.Outcome {
	if w.resync {
		return trouter.Overflow
	}
	i := w.find(it.publisher)
	room := lim.QueueBytes - w.bytes()
	switch {
	case i >= 0 && it.version <= w.pending[i].version:
		return trouter.Stale
	case i >= 0 && it.size-w.pending[i].size <= room:
		it.arrived = w.pending[i].arrived
		w.pending[i] = it
		return trouter.Replaced
	case i < 0 && it.size <= room:
		w.pending = append(w.pending, it)
		return trouter.Queued
	}
	w.pending, w.resync = nil, true
	return trouter.Overflow
}

func (w *twin) next(now time.Time, lim *trouter.Limits) (twinBatch, bool) {
	if w.gone || len(w.pending) == 0 || len(w.flight) == lim.Window {
		return twinBatch{}, false
	}
	w.seq++
	b := twinBatch{seq: w.seq, sent: now, progress: now, tries: 1}
	for bytes := 0; len(w.pending) > 0 && len(b.items) < lim.BatchItems; {
		bytes += w.pending[0].size
		if bytes > lim.BatchBytes && len(b.items) > 0 {
			break
		}
		b.items = append(b.items, w.pending[0])
		w.pending = w.pending[1:]
	}
	w.flight = append(w.flight, b)
	return b, true
}

func (w *twin) due(now time.Time) []uint64 {
	var seqs []uint64
	for i := range w.flight {
		if b := &w.flight[i]; !w.gone && !now.Before(b.sent.Add(wait(b.tries))) {
			b.sent = now
			b.tries++
			seqs = append(seqs, b.seq)
		}
	}
	return seqs
}

// wait is the schedule of the requirement, written down a second time.
func wait(sends int) time.Duration {
	return []time.Duration{1, 2, 4, 8, 16, 30}[min(sends-1, 5)] * time.Second
}

func (w *twin) ack(seq uint64, now time.Time) []uint64 {
	var acked []uint64
	for len(w.flight) > 0 && w.flight[0].seq <= seq {
		acked = append(acked, w.flight[0].seq)
		w.flight = w.flight[1:]
	}
	if len(acked) > 0 && len(w.flight) > 0 {
		w.flight[0].progress = now
	}
	return acked
}

func (w *twin) expire(now time.Time, lim *trouter.Limits) trouter.Loss {
	all := slices.Clone(w.pending)
	for _, b := range w.flight {
		all = append(all, b.items...)
	}
	for _, it := range all {
		if now.Sub(it.arrived) >= lim.TTL {
			w.pending, w.flight, w.resync = nil, nil, true
			return trouter.Resync
		}
	}
	if len(w.flight) > 0 && !w.gone && now.Sub(w.flight[0].progress) >= lim.Stall {
		return trouter.Stalled
	}
	return trouter.None
}

func sortedKeys(m map[uint32]uint64) []uint32 {
	keys := make([]uint32, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func name(publisher uint32) string { return "p" + string(rune('a'+publisher)) }
