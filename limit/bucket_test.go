package limit_test

import (
	"testing"
	"time"
	"unsafe"

	"rollcall/limit"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestBucketIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(limit.Bucket{}); size != 16 {
		t.Fatalf("a bucket takes %d bytes, want 16", size)
	}
}

func TestBurstThenRate(t *testing.T) {
	rate := limit.Rate{Count: 2, Per: time.Second, Burst: 5}
	var b limit.Bucket
	for i := range 5 {
		if ok, _ := b.Take(start, rate); !ok {
			t.Fatalf("take %d of a burst of 5 refused", i+1)
		}
	}
	ok, wait := b.Take(start, rate)
	if ok || wait != 500*time.Millisecond {
		t.Fatalf("take over the burst: %v, retry after %v; want refused, 500ms", ok, wait)
	}
	if ok, wait := b.Take(start.Add(499*time.Millisecond), rate); ok || wait != time.Millisecond {
		t.Fatalf("take 1 ms early: %v, retry after %v; want refused, 1ms", ok, wait)
	}
	if ok, _ := b.Take(start.Add(500*time.Millisecond), rate); !ok {
		t.Fatal("refused at the promised time")
	}
	if b.Full(start.Add(2999 * time.Millisecond)) {
		t.Fatal("full 1 ms before the last token is back")
	}
	if !b.Full(start.Add(3 * time.Second)) {
		t.Fatal("not full when every token is back")
	}
}
