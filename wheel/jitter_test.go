package wheel_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/wheel"
)

func TestJitterStaysWithinAFifth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "d"))
		seed := rapid.Uint64().Draw(t, "seed")
		got := wheel.Jitter(d, seed)
		if got < d-d/5 || got-d > d/5 {
			t.Fatalf("%v becomes %v", d, got)
		}
		if got != wheel.Jitter(d, seed) {
			t.Fatal("the same seed gave two answers")
		}
	})
}

func TestJitterSpreadsNeighbouringSeedsEvenly(t *testing.T) {
	const n, buckets = 40_000, 10
	var count [buckets]int
	for seed := range uint64(n) {
		d := wheel.Jitter(time.Minute, seed)
		count[min(int((d-48*time.Second)*buckets/(24*time.Second)), buckets-1)]++
	}
	for i, c := range count {
		if c < n/buckets*9/10 || c > n/buckets*11/10 {
			t.Errorf("bucket %d of %d got %d of %d", i, buckets, c, n)
		}
	}
}

func TestJitterLeavesNothingAlone(t *testing.T) {
	for _, d := range []time.Duration{0, -1, -time.Hour, 4, math.MinInt64} {
		if got := wheel.Jitter(d, 7); got != d {
			t.Errorf("%d becomes %d", d, got)
		}
	}
}
