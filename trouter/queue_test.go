package trouter_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unsafe"

	"rollcall/trouter"
)

type item = trouter.Item[string]

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestIdleQueueIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(trouter.Queue[*int]{}); size > 96 {
		t.Fatalf("an idle queue takes %d bytes, want 96 at most", size)
	}
}

func TestEmptyQueueLetsGoOfMemory(t *testing.T) {
	lim := trouter.DefaultLimits
	var q trouter.Queue[string]
	for round := range 3 {
		for p := range uint32(300) {
			if got := q.Put(item{Publisher: p, Version: 1, Size: 10}, start, &lim); got != trouter.Queued {
				t.Fatalf("round %d: put %d: %v", round, p, got)
			}
		}
		for q.Len() > 0 {
			if _, ok := q.Next(start, &lim); !ok {
				t.Fatal("window closed before three batches were out")
			}
		}
		if acked, err := q.Ack(q.LastSeq(), start); err != nil || len(acked) != 3 {
			t.Fatalf("acked %d batches, %v; want 3", len(acked), err)
		}
		if !q.HoldsNothing() {
			t.Fatal("an empty queue still refers to memory")
		}
	}
}

func TestAckOfUnsentBatchChangesNothing(t *testing.T) {
	lim := trouter.DefaultLimits
	var q trouter.Queue[string]
	q.Put(item{Publisher: 1, Version: 1, Size: 10}, start, &lim)
	q.Next(start, &lim)
	if _, err := q.Ack(2, start); !errors.Is(err, trouter.ErrAck) {
		t.Fatalf("ack of 2 after 1 was sent: %v, want ErrAck", err)
	}
	if q.InFlight() != 1 {
		t.Fatalf("%d in flight after a refused ack, want 1", q.InFlight())
	}
}

func TestLimitsOutOfRangeAreRefused(t *testing.T) {
	if err := trouter.DefaultLimits.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*trouter.Limits){
		"no window":         func(l *trouter.Limits) { l.Window = 0 },
		"window of five":    func(l *trouter.Limits) { l.Window = 5 },
		"no items":          func(l *trouter.Limits) { l.BatchItems = 0 },
		"no batch bytes":    func(l *trouter.Limits) { l.BatchBytes = 0 },
		"queue over 2 GiB":  func(l *trouter.Limits) { l.QueueBytes = 1 << 31 },
		"ttl of no time":    func(l *trouter.Limits) { l.TTL = 0 },
		"stall below 1 s":   func(l *trouter.Limits) { l.Stall = time.Second - 1 },
		"ttl of two months": func(l *trouter.Limits) { l.TTL = 60 * 24 * time.Hour },
	} {
		l := trouter.DefaultLimits
		spoil(&l)
		if err := l.Validate(); !errors.Is(err, trouter.ErrLimits) {
			t.Errorf("%s: %v, want ErrLimits", name, err)
		}
	}
}

func TestDeadlineKeepsTheMonotonicReading(t *testing.T) {
	lim := trouter.DefaultLimits
	var q trouter.Queue[string]
	now := time.Now()
	q.Put(item{Publisher: 1, Version: 1, Size: 10}, now, &lim)
	q.Next(now, &lim)
	at, ok := q.Deadline(&lim)
	if want := now.Add(time.Second); !ok || at.Sub(want) != 0 {
		t.Fatalf("first re-send %v after the send, want 1s", at.Sub(now))
	}
	if !strings.Contains(at.String(), " m=") {
		t.Fatalf("deadline %v has no monotonic reading: a jump of the wall clock would move it", at)
	}
	if got := len(q.Due(now.Add(999 * time.Millisecond))); got != 0 {
		t.Fatalf("%d batches before their time", got)
	}
	if got := len(q.Due(at)); got != 1 {
		t.Fatalf("%d batches at the deadline, want 1", got)
	}
}
