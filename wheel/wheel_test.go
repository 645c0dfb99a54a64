package wheel_test

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"rollcall/wheel"
)

// probe is an owner that notes when its timer fired.
type probe struct {
	wheel.Timer
	mu    sync.Mutex
	fired []time.Time
}

func newProbe() *probe {
	p := &probe{}
	p.Target = p
	return p
}

func (p *probe) Fire(_ *wheel.Timer, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fired = append(p.fired, now)
}

func (p *probe) times() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]time.Time(nil), p.fired...)
}

func TestTimerIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(wheel.Timer{}); size > 48 {
		t.Fatalf("a timer takes %d bytes, want 48 at most", size)
	}
}

func TestStartedWheelFiresOnceWithinATick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New(wheel.DefaultTick, wheel.DefaultSlots)
		w.Start(context.Background())
		defer w.Close()
		begin := time.Now()
		waits := []time.Duration{
			-time.Hour, 0, time.Nanosecond, 49 * time.Millisecond, 50 * time.Millisecond,
			51 * time.Millisecond, time.Second, 204799 * time.Millisecond,
			204800 * time.Millisecond, 204801 * time.Millisecond, time.Hour,
		}
		probes := make([]*probe, len(waits))
		for i, d := range waits {
			probes[i] = newProbe()
			w.Schedule(&probes[i].Timer, begin.Add(d))
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		for i, d := range waits {
			got := probes[i].times()
			if len(got) != 1 {
				t.Errorf("timer after %v fired %d times, want once", d, len(got))
				continue
			}
			late := got[0].Sub(begin.Add(max(d, 0)))
			if late < 0 || late > wheel.DefaultTick {
				t.Errorf("timer after %v fired %v late, want 0 to %v", d, late, wheel.DefaultTick)
			}
		}
		if w.Len() != 0 {
			t.Errorf("%d timers armed at the end", w.Len())
		}
	})
}

func TestFarTimesStayArmed(t *testing.T) {
	w := wheel.New(time.Second, 8)
	begin := time.Now()
	for _, at := range []time.Time{
		begin.AddDate(5, 0, 0), begin.AddDate(280, 0, 0), begin.AddDate(9000, 0, 0), time.Unix(math.MaxInt64/4, 0),
	} {
		p := newProbe()
		w.Schedule(&p.Timer, at)
		w.Advance(begin.AddDate(4, 0, 0))
		if n := len(p.times()); n != 0 {
			t.Errorf("timer for %v fired %d times", at, n)
		}
		if !w.Stop(&p.Timer) {
			t.Errorf("timer for %v is not armed", at)
		}
	}
}

func TestStopReportsWhetherItPrevented(t *testing.T) {
	w := wheel.New(time.Second, 8)
	begin := time.Now()
	p := newProbe()
	if w.Stop(&p.Timer) {
		t.Error("stopped a timer that was never armed")
	}
	w.Schedule(&p.Timer, begin)
	if !w.Stop(&p.Timer) {
		t.Error("an armed timer was not stopped")
	}
	w.Advance(begin.Add(time.Minute))
	w.Schedule(&p.Timer, begin)
	w.Advance(begin.Add(time.Hour))
	if w.Stop(&p.Timer) {
		t.Error("stopped a timer that had fired")
	}
	if n := len(p.times()); n != 1 {
		t.Errorf("fired %d times, want once: the first arming was stopped", n)
	}
}

// again is an owner whose timer arms itself while it fires.
type again struct {
	wheel.Timer
	w     *wheel.Wheel
	every time.Duration
	count int
}

func (a *again) Fire(t *wheel.Timer, now time.Time) {
	a.count++
	a.w.Schedule(t, now.Add(a.every))
}

func TestFireMayArmItselfAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New(50*time.Millisecond, 64)
		a := &again{w: w, every: time.Second}
		a.Target = a
		late := &again{w: w, every: -time.Second}
		late.Target = late
		w.Schedule(&a.Timer, time.Now().Add(time.Second))
		w.Schedule(&late.Timer, time.Now())
		w.Start(context.Background())
		time.Sleep(60*time.Second + 25*time.Millisecond)
		w.Close()
		if a.count != 60 {
			t.Errorf("fired %d times in 60 s, want 60", a.count)
		}
		if late.count != 1200 {
			t.Errorf("timer for the past fired %d times in 1,200 ticks, want once a tick", late.count)
		}
	})
}

func TestNothingFiresAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New(0, 0)
		w.Start(context.Background())
		p := newProbe()
		w.Schedule(&p.Timer, time.Now().Add(time.Second))
		w.Close()
		w.Close()
		time.Sleep(time.Minute)
		if n := len(p.times()); n != 0 {
			t.Errorf("fired %d times after Close", n)
		}
	})
}

func TestCloseWaitsForTheFireUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New(0, 0)
		w.Start(context.Background())
		s := &stopper{}
		release := make(chan struct{})
		s.onFire = func() { <-release }
		s.Target = s
		w.Schedule(&s.Timer, time.Now())
		time.Sleep(time.Second)
		closed := make(chan struct{})
		go func() {
			w.Close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("Close returned while a timer was being fired")
		default:
		}
		close(release)
		<-closed
		if s.fired != 1 {
			t.Errorf("fired %d times, want once", s.fired)
		}
	})
}

func TestEndOfContextStopsTheWheel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		w := wheel.New(0, 0)
		w.Start(ctx)
		p := newProbe()
		w.Schedule(&p.Timer, time.Now().Add(time.Second))
		cancel()
		time.Sleep(time.Minute)
		if n := len(p.times()); n != 0 {
			t.Errorf("fired %d times after the end of its context", n)
		}
		w.Close()
	})
}

func TestCloseOfAWheelThatNeverStarted(t *testing.T) {
	wheel.New(0, 0).Close()
}

// counter counts fires of many timers.
type counter struct{ fires atomic.Int64 }

func (c *counter) Fire(*wheel.Timer, time.Time) { c.fires.Add(1) }

func TestCrowdedSlotFiresAll(t *testing.T) {
	w := wheel.New(time.Second, 8)
	begin := time.Now()
	var c counter
	const n = 10_000
	timers := make([]wheel.Timer, n)
	for i := range timers {
		timers[i].Target = &c
		w.Schedule(&timers[i], begin.Add(time.Duration(i%2)*8*time.Second))
	}
	w.Advance(begin.Add(time.Millisecond))
	if got := c.fires.Load(); got != n/2 {
		t.Fatalf("%d fired in the first round, want %d", got, n/2)
	}
	w.Advance(begin.Add(9 * time.Second))
	if got := c.fires.Load(); got != n || w.Len() != 0 {
		t.Fatalf("%d fired, %d armed; want %d and none", got, w.Len(), n)
	}
}

func TestConcurrentUseFiresEachArmingAtMostOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New(50*time.Millisecond, 16)
		w.Start(context.Background())
		var c counter
		var armed, stopped atomic.Int64
		var users sync.WaitGroup
		for u := range 8 {
			users.Go(func() {
				timers := make([]wheel.Timer, 50)
				for i := range timers {
					timers[i].Target = &c
				}
				for i := range 2000 {
					tm := &timers[i%len(timers)]
					if w.Stop(tm) {
						stopped.Add(1)
					}
					w.Schedule(tm, time.Now().Add(time.Duration(i*u%700)*time.Millisecond))
					armed.Add(1)
					if i%10 == 0 {
						time.Sleep(time.Duration(u+1) * time.Millisecond)
					}
				}
			})
		}
		users.Wait()
		time.Sleep(2 * time.Second)
		w.Close()
		if got, want := c.fires.Load()+stopped.Load(), armed.Load(); got != want || w.Len() != 0 {
			t.Errorf("fired or stopped %d of %d armings, %d still armed", got, want, w.Len())
		}
		if c.fires.Load() == 0 || stopped.Load() == 0 {
			t.Error("the mix fired or stopped nothing: it proves nothing")
		}
	})
}
