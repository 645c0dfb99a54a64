package wheel_test

import (
	"runtime"
	"testing"
	"time"

	"rollcall/wheel"
)

const pending = 1_000_000

func spreadOut(i int) time.Duration {
	return time.Hour + time.Duration(i%600_000)*time.Millisecond
}

// heapPer runs fill and reports the heap it left behind, for each of n.
func heapPer(b *testing.B, n int, fill func()) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	fill()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/timer")
}

func BenchmarkWheelSchedule(b *testing.B) {
	w := wheel.New(0, 0)
	var c counter
	timers := make([]wheel.Timer, b.N)
	for i := range timers {
		timers[i].Target = &c
	}
	now := time.Now()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range timers {
		w.Schedule(&timers[i], now.Add(spreadOut(i)))
	}
}

func BenchmarkAfterFuncCreate(b *testing.B) {
	timers := make([]*time.Timer, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range timers {
		timers[i] = time.AfterFunc(spreadOut(i), func() {})
	}
	b.StopTimer()
	for _, t := range timers {
		t.Stop()
	}
}

// BenchmarkWheelRearm moves timers among a million pending.
func BenchmarkWheelRearm(b *testing.B) {
	w := wheel.New(0, 0)
	var c counter
	timers := make([]wheel.Timer, pending)
	now := time.Now()
	for i := range timers {
		timers[i].Target = &c
		w.Schedule(&timers[i], now.Add(spreadOut(i)))
	}
	for i := 0; b.Loop(); i++ {
		w.Schedule(&timers[i*7919%pending], now.Add(spreadOut(i)))
	}
	runtime.KeepAlive(timers)
}

func BenchmarkAfterFuncRearm(b *testing.B) {
	timers := make([]*time.Timer, pending)
	for i := range timers {
		timers[i] = time.AfterFunc(spreadOut(i), func() {})
	}
	for i := 0; b.Loop(); i++ {
		timers[i*7919%pending].Reset(spreadOut(i))
	}
	for _, t := range timers {
		t.Stop()
	}
}

// BenchmarkWheelMemory and BenchmarkAfterFuncMemory report the bytes of a
// pending timer, the owner's reference included.
func BenchmarkWheelMemory(b *testing.B) {
	now := time.Now()
	for b.Loop() {
		w := wheel.New(0, 0)
		var c counter
		var timers []wheel.Timer
		heapPer(b, pending, func() {
			timers = make([]wheel.Timer, pending)
			for i := range timers {
				timers[i].Target = &c
				w.Schedule(&timers[i], now.Add(spreadOut(i)))
			}
		})
		runtime.KeepAlive(timers)
		runtime.KeepAlive(w)
	}
}

func BenchmarkAfterFuncMemory(b *testing.B) {
	for b.Loop() {
		var timers []*time.Timer
		heapPer(b, pending, func() {
			timers = make([]*time.Timer, pending)
			for i := range timers {
				timers[i] = time.AfterFunc(spreadOut(i), func() {})
			}
		})
		for _, t := range timers {
			t.Stop()
		}
	}
}

// BenchmarkWheelTick is one tick of an idle node: a million far timers, none due.
func BenchmarkWheelTick(b *testing.B) {
	w := wheel.New(0, 0)
	var c counter
	timers := make([]wheel.Timer, pending)
	now := time.Now()
	for i := range timers {
		timers[i].Target = &c
		w.Schedule(&timers[i], now.AddDate(1, 0, 0).Add(spreadOut(i)))
	}
	for b.Loop() {
		now = now.Add(wheel.DefaultTick)
		w.Advance(now)
	}
	runtime.KeepAlive(timers)
}

// BenchmarkWheelFire arms and fires.
func BenchmarkWheelFire(b *testing.B) {
	const n = 10_000
	w := wheel.New(0, 0)
	var c counter
	timers := make([]wheel.Timer, n)
	now := time.Now()
	for b.Loop() {
		for i := range timers {
			timers[i].Target = &c
			w.Schedule(&timers[i], now.Add(time.Duration(i)*5*time.Microsecond))
		}
		now = now.Add(wheel.DefaultTick)
		w.Advance(now)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/timer")
	if c.fires.Load() == 0 {
		b.Fatal("nothing fired")
	}
}
