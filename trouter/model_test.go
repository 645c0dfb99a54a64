package trouter_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/trouter"
)

// world is an endpoint, its client, and between them a channel that loses,
// repeats and reorders; beside the queue runs a naive twin that does the same
// with plain lists. Times are multiples of an age tick, so that both agree to
// the nanosecond.
type world struct {
	queue trouter.Queue[uint64]
	twin  twin
	recv  trouter.Receiver
	lim   trouter.Limits
	now   time.Time

	newest  map[uint32]uint64 // version of each publisher
	truth   map[uint32]uint64 // the same of those watched
	shown   map[uint32]uint64 // what the client shows
	content map[uint64][]uint64
	batches []modelBatch // on their way down
	acks    []uint64     // on their way up
}

type modelBatch = trouter.Batch[uint64]

const tick = 1 << 26 * time.Nanosecond

func newWorld(t *rapid.T) *world {
	return &world{
		lim: trouter.Limits{
			Window:     rapid.IntRange(1, 4).Draw(t, "window"),
			BatchItems: rapid.SampledFrom([]int{1, 3, 100}).Draw(t, "batch items"),
			BatchBytes: rapid.SampledFrom([]int{100, 1000}).Draw(t, "batch bytes"),
			QueueBytes: rapid.SampledFrom([]int{300, 3000, 30000}).Draw(t, "queue bytes"),
			TTL:        600 * time.Second / tick * tick,
			Stall:      90 * time.Second / tick * tick,
		},
		now:     start,
		newest:  map[uint32]uint64{},
		truth:   map[uint32]uint64{},
		shown:   map[uint32]uint64{},
		content: map[uint64][]uint64{},
	}
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.recv.Open(w.lim.Window)
		publishers := rapid.SampledFrom([]uint32{3, 10, 150}).Draw(t, "publishers")
		t.Repeat(map[string]func(*rapid.T){
			"":        w.check,
			"put":     func(t *rapid.T) { w.put(t, rapid.Uint32Range(0, publishers-1).Draw(t, "publisher")) },
			"storm":   func(t *rapid.T) { w.storm(t, publishers) },
			"unwatch": func(t *rapid.T) { w.unwatch(rapid.Uint32Range(0, publishers-1).Draw(t, "publisher")) },
			"send":    w.send,
			"deliver": w.deliver,
			"lose":    w.lose,
			"answer":  w.answer,
			"settle":  w.settle,
			"time":    w.pass,
			"cut":     w.cut,
			"connect": w.connect,
			"resync":  w.resync,
		})
		w.quiet(t)
	})
}

func (w *world) put(t *rapid.T, publisher uint32) {
	version := w.newest[publisher] + uint64(rapid.IntRange(0, 2).Draw(t, "step"))
	version = max(version, 1)
	w.newest[publisher] = version
	size := rapid.IntRange(1, 120).Draw(t, "size")
	w.truth[publisher] = version
	w.offer(t, publisher, version, size)
}

func (w *world) offer(t *rapid.T, publisher uint32, version uint64, size int) {
	fits := w.queue.Fits(size, &w.lim)
	fresh := w.twin.find(publisher) < 0
	got := w.queue.Put(trouter.Item[uint64]{Publisher: publisher, Version: version, Size: size, Value: version * 7}, w.now, &w.lim)
	want := w.twin.put(twinItem{publisher, version, size, w.now}, &w.lim)
	if got != want {
		t.Fatalf("put %d@%d of %d bytes: outcome %d, twin says %d", publisher, version, size, got, want)
	}
	if fresh && fits != (got == trouter.Queued) {
		t.Fatalf("put %d of %d bytes: outcome %d, but Fits said %v", publisher, size, got, fits)
	}
}

func (w *world) storm(t *rapid.T, publishers uint32) {
	for p := range publishers {
		w.put(t, p)
	}
}

func (w *world) unwatch(publisher uint32) {
	delete(w.truth, publisher)
	w.queue.Drop(publisher)
	if i := w.twin.find(publisher); i >= 0 {
		w.twin.pending = slices.Delete(w.twin.pending, i, i+1)
	}
}

func (w *world) send(t *rapid.T) {
	got, ok := w.queue.Next(w.now, &w.lim)
	want, wantOK := w.twin.next(w.now, &w.lim)
	if ok != wantOK || ok && got.Seq != want.seq || ok && len(got.Items) != len(want.items) {
		t.Fatalf("next: %v %v, twin says %v %v", got, ok, want, wantOK)
	}
	if !ok {
		return
	}
	for i, it := range got.Items {
		if it.Publisher != want.items[i].publisher || it.Version != want.items[i].version {
			t.Fatalf("batch %d item %d is %d@%d, twin says %v", got.Seq, i, it.Publisher, it.Version, want.items[i])
		}
	}
	w.transmit(t, got)
}

// transmit puts a batch on its way, after a look at its number and content.
func (w *world) transmit(t *rapid.T, b modelBatch) {
	var now []uint64
	for _, it := range b.Items {
		now = append(now, uint64(it.Publisher), it.Version, it.Value)
	}
	if first, again := w.content[b.Seq]; again != (b.Sent > 1) {
		t.Fatalf("batch %d says it is sent for the %d. time, seen before: %v", b.Seq, b.Sent, again)
	} else if again && !slices.Equal(first, now) {
		t.Fatalf("batch %d changed between two sends: %v, then %v", b.Seq, first, now)
	}
	w.content[b.Seq] = now
	w.batches = append(w.batches, b)
}

func (w *world) deliver(t *rapid.T) {
	if len(w.batches) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.batches)-1).Draw(t, "batch")
	b := w.batches[i]
	if !rapid.Bool().Draw(t, "again later") {
		w.batches = slices.Delete(w.batches, i, i+1)
	}
	w.receive(t, b)
}

func (w *world) receive(t *rapid.T, b modelBatch) {
	before := w.recv.Last()
	if w.recv.Batch(b.Seq, w.now) {
		for _, it := range b.Items {
			if w.recv.Apply(name(it.Publisher), it.Version) {
				if it.Version <= w.shown[it.Publisher] {
					t.Fatalf("publisher %d goes from version %d to %d", it.Publisher, w.shown[it.Publisher], it.Version)
				}
				w.shown[it.Publisher] = it.Version
			}
		}
	}
	due, owed := w.recv.AckDue()
	if !owed || due.Sub(w.now) > trouter.AckDelay {
		t.Fatalf("batch %d arrived, ack due %v %v", b.Seq, due.Sub(w.now), owed)
	}
	if w.recv.Last() < before {
		t.Fatalf("cumulative number went from %d back to %d", before, w.recv.Last())
	}
}

func (w *world) lose(t *rapid.T) {
	if len(w.batches) > 0 && rapid.Bool().Draw(t, "batch") {
		i := rapid.IntRange(0, len(w.batches)-1).Draw(t, "which")
		w.batches = slices.Delete(w.batches, i, i+1)
	} else if len(w.acks) > 0 {
		i := rapid.IntRange(0, len(w.acks)-1).Draw(t, "which")
		w.acks = slices.Delete(w.acks, i, i+1)
	}
}

// answer lets the client acknowledge when it is time to.
func (w *world) answer(*rapid.T) {
	if due, owed := w.recv.AckDue(); owed && !due.After(w.now) {
		w.acks = append(w.acks, w.recv.Ack())
	}
}

func (w *world) settle(t *rapid.T) {
	if len(w.acks) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.acks)-1).Draw(t, "ack")
	seq := w.acks[i]
	if !rapid.Bool().Draw(t, "again later") {
		w.acks = slices.Delete(w.acks, i, i+1)
	}
	w.acknowledge(t, seq)
}

func (w *world) acknowledge(t *rapid.T, seq uint64) {
	acked, err := w.queue.Ack(seq, w.now)
	if err != nil {
		t.Fatalf("ack %d: %v", seq, err)
	}
	if want := w.twin.ack(seq, w.now); !slices.Equal(seqs(acked), want) {
		t.Fatalf("ack %d settled %v, twin says %v", seq, seqs(acked), want)
	}
}

func seqs(batches []modelBatch) []uint64 {
	var out []uint64
	for _, b := range batches {
		out = append(out, b.Seq)
	}
	return out
}

// pass lets time go by, in jumps or exactly to the deadline, and carries out
// what is due then.
func (w *world) pass(t *rapid.T) {
	deadline, armed := w.queue.Deadline(&w.lim)
	if armed && rapid.Bool().Draw(t, "to the deadline") {
		w.now = later(w.now, deadline)
	} else {
		w.now = w.now.Add(tick * time.Duration(rapid.SampledFrom([]int{0, 1, 5, 20, 200, 2000, 9500}).Draw(t, "ticks")))
	}
	w.work(t, armed && !w.now.Before(deadline))
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b.Add((tick - b.Sub(start)%tick) % tick)
	}
	return a
}

// work does what an owner does when its timer fires; something must happen
// exactly when the deadline has come.
func (w *world) work(t *rapid.T, expected bool) {
	loss := w.queue.Expire(w.now, &w.lim)
	if want := w.twin.expire(w.now, &w.lim); loss != want {
		t.Fatalf("expire: %d, twin says %d", loss, want)
	}
	due := w.queue.Due(w.now)
	if want := w.twin.due(w.now); !slices.Equal(seqs(due), want) {
		t.Fatalf("due: %v, twin says %v", seqs(due), want)
	}
	if happened := loss != trouter.None || len(due) > 0; happened != expected {
		t.Fatalf("loss %d, %d due; deadline had come: %v", loss, len(due), expected)
	}
	for _, b := range due {
		w.transmit(t, b)
	}
	if loss == trouter.Stalled {
		w.cut(t)
	}
	if loss == trouter.Resync {
		w.batches, w.acks = nil, nil // the owner closes the socket
		w.recv.Reset(w.queue.LastSeq())
	}
}

func (w *world) cut(*rapid.T) {
	w.queue.Detach()
	w.twin.gone = true
}

func (w *world) connect(t *rapid.T) {
	again := w.queue.Replay(w.now)
	w.twin.gone = false
	var want []uint64
	for i := range w.twin.flight {
		b := &w.twin.flight[i]
		b.sent, b.progress, b.tries = w.now, w.now, 1
		want = append(want, b.seq)
	}
	if !slices.Equal(seqs(again), want) {
		t.Fatalf("replay: %v, twin says %v", seqs(again), want)
	}
	for _, b := range again {
		w.transmit(t, b)
	}
}

// resync sends the present state again, as far as it fits.
func (w *world) resync(t *rapid.T) {
	if w.queue.NeedsResync() != w.twin.resync {
		t.Fatalf("needs resync: %v, twin says %v", w.queue.NeedsResync(), w.twin.resync)
	}
	if !w.queue.NeedsResync() {
		return
	}
	w.queue.Resynced()
	w.twin.resync = false
	w.catchUp(t)
}

// catchUp offers what the client does not have and is not on its way, while it
// fits, as an owner does with a snapshot larger than the queue.
func (w *world) catchUp(t *rapid.T) {
	for _, publisher := range sortedKeys(w.truth) {
		waiting := w.twin.find(publisher) >= 0
		if !waiting && w.shown[publisher] < w.truth[publisher] && w.queue.Fits(50, &w.lim) {
			w.offer(t, publisher, w.truth[publisher], 50)
		}
	}
}

func (w *world) check(t *rapid.T) {
	if got, want := w.queue.Bytes(), w.twin.bytes(); got != want || got > w.lim.QueueBytes {
		t.Fatalf("%d bytes, twin says %d, limit %d", got, want, w.lim.QueueBytes)
	}
	if got, want := w.queue.Len(), len(w.twin.pending); got != want {
		t.Fatalf("%d pending, twin says %d", got, want)
	}
	if got := w.queue.InFlight(); got != len(w.twin.flight) || got > w.lim.Window {
		t.Fatalf("%d in flight, twin says %d, window %d", got, len(w.twin.flight), w.lim.Window)
	}
	if w.queue.LastSeq() != w.twin.seq {
		t.Fatalf("last number %d, twin says %d", w.queue.LastSeq(), w.twin.seq)
	}
	if w.queue.Len()+w.queue.InFlight() == 0 && !w.queue.HoldsNothing() {
		t.Fatal("an empty queue refers to memory")
	}
	for publisher, version := range w.shown {
		if have, _ := w.recv.Version(name(publisher)); have != version {
			t.Fatalf("client has %d@%d, showed %d", publisher, have, version)
		}
	}
}

// quiet stops the losses and lets the rest run by the deadlines alone. The
// client then has the newest version of all it watches.
func (w *world) quiet(t *rapid.T) {
	if w.twin.gone {
		w.connect(t)
	}
	for round := 0; ; round++ {
		if round > 2000 {
			t.Fatal("no end to the sending")
		}
		w.resync(t)
		w.catchUp(t)
		for w.queue.Len() > 0 && w.queue.InFlight() < w.lim.Window {
			w.send(t)
		}
		for len(w.batches) > 0 {
			b := w.batches[0]
			w.batches = w.batches[1:]
			w.receive(t, b)
		}
		w.answer(t)
		for len(w.acks) > 0 {
			w.acknowledge(t, w.acks[0])
			w.acks = w.acks[1:]
		}
		w.check(t)
		if w.queue.Len()+w.queue.InFlight() == 0 && !w.queue.NeedsResync() && w.complete() {
			return
		}
		w.waitForNext(t)
	}
}

// waitForNext moves to whatever comes first, at the client or at the server.
func (w *world) waitForNext(t *rapid.T) {
	at, armed := w.queue.Deadline(&w.lim)
	if due, owed := w.recv.AckDue(); owed && (!armed || due.Before(at)) {
		w.now = later(w.now, due)
		deadline, ok := w.queue.Deadline(&w.lim)
		w.work(t, ok && !w.now.Before(deadline))
		return
	}
	if !armed {
		return // only the catching up goes on
	}
	w.now = later(w.now, at)
	w.work(t, true)
	if w.twin.gone {
		w.connect(t)
	}
}

func (w *world) complete() bool {
	for publisher, version := range w.truth {
		if w.shown[publisher] != version {
			return false
		}
	}
	return true
}
