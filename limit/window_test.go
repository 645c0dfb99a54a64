package limit_test

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"rollcall/limit"
)

var hour = limit.Quota{Max: 100, Per: time.Hour}

// target spreads small numbers as a keyed hash spreads names.
func target(i int) uint64 { return rand.New(rand.NewPCG(uint64(i), 1)).Uint64() }

func TestDistinctTargetsAreCountedOnce(t *testing.T) {
	var w limit.Window
	for i := range 1000 {
		if ok, _ := w.Add(target(i%100), start, hour); !ok {
			t.Fatalf("use %d of 100 targets refused", i)
		}
	}
	if n := w.Len(start, hour); n != 100 {
		t.Fatalf("%d targets counted, want 100", n)
	}
	ok, wait := w.Add(target(100), start, hour)
	if ok || wait < time.Hour || wait > time.Hour*33/32+time.Second {
		t.Fatalf("target 101: %v, retry after %v; want refused for an hour and at most 1/32 more", ok, wait)
	}
	if ok, _ := w.Add(target(7), start, hour); !ok {
		t.Fatal("a counted target was refused")
	}
	if ok, _ := w.Add(target(100), start.Add(wait-1), hour); ok {
		t.Fatal("allowed before the retry time")
	}
	if ok, _ := w.Add(target(100), start.Add(wait), hour); !ok {
		t.Fatal("refused at the retry time")
	}
}

func TestRetryTimeIsThatOfTheOldestTarget(t *testing.T) {
	var w limit.Window
	for i := range 100 {
		w.Add(target(i), start.Add(time.Duration(i/50)*30*time.Minute), hour)
	}
	now := start.Add(45 * time.Minute)
	ok, wait := w.Add(target(200), now, hour)
	if gone := now.Add(wait).Sub(start); ok || gone < time.Hour || gone > time.Hour*33/32 {
		t.Fatalf("%v, retry %v after the oldest use; want refused, 1h to 1h1m53s", ok, gone)
	}
	if ok, _ := w.Add(target(200), now.Add(wait-1), hour); ok {
		t.Error("allowed before the retry time")
	}
	if ok, _ := w.Add(target(200), now.Add(wait), hour); !ok {
		t.Error("refused at the retry time")
	}
}

// exact is the rule without steps or fingerprints.
type exact map[int]time.Time

func (e exact) within(now time.Time, d time.Duration) (n int) {
	for _, used := range e {
		if now.Sub(used) < d {
			n++
		}
	}
	return n
}

func TestWindowLiesBetweenPerAndAStepMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quota := limit.Quota{
			Max: rapid.IntRange(1, 60).Draw(t, "max"),
			Per: time.Duration(rapid.Int64Range(int64(time.Second), int64(48*time.Hour)).Draw(t, "per")),
		}
		var w limit.Window
		used := exact{}
		now := start
		for range 300 {
			d := rapid.SampledFrom([]int64{0, 1, 3, 17, 100, 300, 980, 1100, 5000}).Draw(t, "wait")
			now = now.Add(quota.Per / 1000 * time.Duration(d) / 10)
			i := rapid.IntRange(0, 80).Draw(t, "target")
			least := used.within(now, quota.Per)
			most := used.within(now, quota.Per/32*33+64)
			if n := w.Len(now, quota); n < least || n > most {
				t.Fatalf("%d targets counted, want %d to %d", n, least, most)
			}
			last, seen := used[i]
			ok, wait := w.Add(target(i), now, quota)
			switch {
			case !ok && seen && now.Sub(last) < quota.Per:
				t.Fatalf("target %d refused, though it counts", i)
			case !ok && most < quota.Max:
				t.Fatalf("refused with %d of %d", most, quota.Max)
			case !ok && wait <= 0:
				t.Fatalf("refused, retry after %v", wait)
			case ok:
				used[i] = now
				if n := used.within(now, quota.Per); n > quota.Max {
					t.Fatalf("%d different targets in %v, at most %d allowed", n, quota.Per, quota.Max)
				}
			}
		}
	})
}

func TestMemoryIsBoundedAndGivenBack(t *testing.T) {
	day := limit.Quota{Max: 20_000, Per: 24 * time.Hour}
	var w limit.Window
	refused := 0
	for i := range 30_000 {
		if ok, _ := w.Add(target(i), start.Add(time.Duration(i)*time.Millisecond), day); !ok {
			refused++
		}
	}
	// A new target passes as a known one once in 3,355: 3 in 10,000 here.
	if refused < 9_985 || refused > 10_000 {
		t.Errorf("%d of 10,000 over the quota refused", refused)
	}
	if n := w.Slots(); n*4 != 128<<10 {
		t.Errorf("the table takes %d bytes, want 128 KiB", n*4)
	}
	later := start.Add(20 * time.Hour)
	for i := range 50 {
		w.Add(target(i), later, day)
	}
	if n := w.Len(later.Add(20*time.Hour), day); n != 50 {
		t.Errorf("%d targets counted, want the 50 used again", n)
	}
	if n := w.Slots(); n > 128 {
		t.Errorf("%d slots for 50 targets", n)
	}
	if n := w.Len(later.Add(48*time.Hour), day); n != 0 || w.Slots() != 0 {
		t.Errorf("%d targets, %d slots after two quiet days", n, w.Slots())
	}
	if size := unsafe.Sizeof(w); size > 48 {
		t.Errorf("an empty window takes %d bytes", size)
	}
}

func TestWindowSurvivesClockJumps(t *testing.T) {
	var w limit.Window
	for i := range 100 {
		w.Add(target(i), start, hour)
	}
	back := start.Add(-24 * time.Hour)
	if ok, _ := w.Add(target(200), back, hour); ok {
		t.Error("a jump back emptied the window")
	}
	if ok, _ := w.Add(target(200), back.Add(time.Hour*33/32+time.Minute), hour); !ok {
		t.Error("refused longer than an hour and a step after a jump back")
	}
	if n := w.Len(start.Add(24*time.Hour), hour); n != 0 {
		t.Errorf("%d targets counted after a jump forth by a day", n)
	}
}

func TestQuotasThatAllowNothing(t *testing.T) {
	for name, quota := range map[string]limit.Quota{
		"zero":       {},
		"no max":     {Per: time.Hour},
		"no time":    {Max: 1},
		"half a sec": {Max: 1, Per: time.Second / 2},
		"too many":   {Max: limit.MaxQuota + 1, Per: time.Hour},
	} {
		var w limit.Window
		if ok, wait := w.Add(1, start, quota); ok || wait != limit.Never {
			t.Errorf("%s: %v, %v; want refused for ever", name, ok, wait)
		}
		if n := w.Len(start, quota); n != 0 {
			t.Errorf("%s: %d targets", name, n)
		}
		if err := quota.Validate(); !errors.Is(err, limit.ErrRate) {
			t.Errorf("%s: %v, want ErrRate", name, err)
		}
	}
	if err := hour.Validate(); err != nil {
		t.Error(err)
	}
}

func TestAnyHashWillDo(t *testing.T) {
	var w limit.Window
	quota := limit.Quota{Max: 3, Per: time.Hour}
	for _, h := range []uint64{0, 1 << 63, ^uint64(0)} {
		for range 2 {
			if ok, _ := w.Add(h, start, quota); !ok {
				t.Errorf("hash %x refused", h)
			}
		}
	}
	if n := w.Len(start, quota); n != 3 {
		t.Errorf("%d targets counted, want 3", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{40, 5_000, 20_000} {
		b.Run(fmt.Sprintf("targets=%d", n), func(b *testing.B) {
			quota := limit.Quota{Max: n, Per: time.Hour}
			var w limit.Window
			now := start
			seed := maphash.MakeSeed()
			hashes := make([]uint64, n)
			for i := range hashes {
				hashes[i] = maphash.String(seed, fmt.Sprint(i))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				now = now.Add(time.Millisecond)
				w.Add(hashes[i%n], now, quota)
			}
			b.ReportMetric(float64(4*w.Slots())/float64(n), "B/target")
		})
	}
}
