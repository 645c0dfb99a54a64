package limit_test

import (
	"errors"
	"math"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

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

// The plain rule: in any span a bucket gives at most Burst and what comes back
// in the span.
func TestNoSpanExceedsBurstAndRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := limit.Rate{
			Count: rapid.IntRange(1, 1000).Draw(t, "count"),
			Per:   time.Duration(rapid.Int64Range(1, int64(24*time.Hour)).Draw(t, "per")),
			Burst: rapid.IntRange(1, 50).Draw(t, "burst"),
		}
		var b limit.Bucket
		var taken []time.Time
		now := start
		for range 200 {
			now = now.Add(rate.Per / time.Duration(rate.Count) * time.Duration(rapid.IntRange(0, 20).Draw(t, "wait")) / 10)
			ok, wait := b.Take(now, rate)
			if ok {
				taken = append(taken, now)
				continue
			}
			if wait <= 0 {
				t.Fatalf("refused, but retry after %v", wait)
			}
			early, right := b, b
			if ok, _ := early.Take(now.Add(wait-1), rate); ok {
				t.Fatalf("allowed 1 ns before the retry time %v", wait)
			}
			if ok, _ := right.Take(now.Add(wait), rate); !ok {
				t.Fatalf("refused at the retry time %v", wait)
			}
		}
		for i := range taken {
			for j := i + rate.Burst; j < len(taken); j++ {
				span := float64(taken[j].Sub(taken[i]))
				most := float64(rate.Burst) + span*float64(rate.Count)/float64(rate.Per)
				if got := float64(j - i + 1); got > most+1e-6 {
					t.Fatalf("%v taken in %v, at most %v allowed", got, time.Duration(span), most)
				}
			}
		}
	})
}

func TestClockJumpsAreHarmless(t *testing.T) {
	rate := limit.Rate{Count: 1, Per: time.Second, Burst: 3}
	drain := func(b *limit.Bucket, now time.Time) (n int) {
		for ok, _ := b.Take(now, rate); ok; ok, _ = b.Take(now, rate) {
			n++
		}
		return n
	}
	var b limit.Bucket
	drain(&b, start)
	back := start.Add(-time.Hour)
	if n := drain(&b, back); n != 0 {
		t.Errorf("a jump back by an hour gave %d tokens", n)
	}
	if n := drain(&b, back.Add(2*time.Second)); n != 2 {
		t.Errorf("2 s after a jump back: %d tokens, want 2", n)
	}
	if n := drain(&b, start.Add(time.Hour)); n != rate.Burst {
		t.Errorf("a jump forth gave %d tokens, want one burst of %d", n, rate.Burst)
	}
}

func TestChangedRateHoldsAtOnce(t *testing.T) {
	wide, narrow := limit.Rate{Count: 1, Per: time.Second, Burst: 100}, limit.Rate{Count: 1, Per: time.Second, Burst: 2}
	var b limit.Bucket
	for range 100 {
		b.Take(start, wide)
	}
	if ok, wait := b.Take(start, narrow); ok || wait > time.Second {
		t.Errorf("under the narrower rate: %v, retry after %v; want refused, 1s at most", ok, wait)
	}
}

func TestRatesThatAllowNothing(t *testing.T) {
	for name, rate := range map[string]limit.Rate{
		"zero":         {},
		"no count":     {Per: time.Second, Burst: 1},
		"no time":      {Count: 1, Burst: 1},
		"no burst":     {Count: 1, Per: time.Second},
		"all negative": {Count: -1, Per: -1, Burst: -1},
	} {
		var b limit.Bucket
		if ok, wait := b.Take(start, rate); ok || wait != limit.Never {
			t.Errorf("%s: %v, %v; want refused for ever", name, ok, wait)
		}
		if err := rate.Validate(); !errors.Is(err, limit.ErrRate) {
			t.Errorf("%s: %v, want ErrRate", name, err)
		}
	}
}

func TestExtremeRatesDoNotOverflow(t *testing.T) {
	for _, rate := range []limit.Rate{
		{Count: 1, Per: math.MaxInt64, Burst: math.MaxInt},
		{Count: math.MaxInt, Per: 1, Burst: math.MaxInt},
		{Count: 1, Per: math.MaxInt64/2 + 1, Burst: 2},
	} {
		if err := rate.Validate(); err != nil {
			t.Errorf("%+v: %v", rate, err)
		}
		var b limit.Bucket
		for i := range 3 {
			if ok, wait := b.Take(start, rate); !ok && wait <= 0 {
				t.Errorf("%+v: take %d refused, retry after %v", rate, i, wait)
			}
		}
		if ok, _ := (&limit.Bucket{}).Take(start, rate); !ok {
			t.Errorf("%+v: a fresh bucket refuses", rate)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	rate := limit.Rate{Count: 1000, Per: time.Second, Burst: 100}
	var bucket limit.Bucket
	now := start
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Microsecond)
		bucket.Take(now, rate)
	}
}
