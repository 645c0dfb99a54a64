package wheel_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/wheel"
)

// TestModel compares the wheel with a list that is searched from end to end.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := func(name string, low, high int) time.Duration {
			return time.Duration(rapid.IntRange(low, high).Draw(t, name)) * time.Millisecond
		}
		w := wheel.New(ms("tick", 1, 60), rapid.SampledFrom([]int{1, 2, 7, 64}).Draw(t, "slots"))
		now := time.Now().Add(time.Second)
		w.Advance(now)

		probes := make([]*probe, 12)
		for i := range probes {
			probes[i] = newProbe()
		}
		armed := map[int]time.Time{}
		fires := make([]int, len(probes))
		which := rapid.IntRange(0, len(probes)-1)

		t.Repeat(map[string]func(*rapid.T){
			"schedule": func(t *rapid.T) {
				i := which.Draw(t, "timer")
				at := now.Add(ms("wait", -100, 5000))
				w.Schedule(&probes[i].Timer, at)
				armed[i] = at
			},
			"schedule far away": func(t *rapid.T) {
				i := which.Draw(t, "timer")
				armed[i] = now.AddDate(rapid.IntRange(1, 400).Draw(t, "years"), 0, 0)
				w.Schedule(&probes[i].Timer, armed[i])
			},
			"stop": func(t *rapid.T) {
				i := which.Draw(t, "timer")
				_, want := armed[i]
				if got := w.Stop(&probes[i].Timer); got != want {
					t.Fatalf("stop %d: %v, want %v", i, got, want)
				}
				delete(armed, i)
			},
			"advance": func(t *rapid.T) {
				d := rapid.SampledFrom([]time.Duration{-time.Second, 1, time.Millisecond, 7 * time.Millisecond,
					60 * time.Millisecond, time.Second, time.Minute}).Draw(t, "by")
				w.Advance(now.Add(d))
				if d < 0 {
					return
				}
				now = now.Add(d)
				for i, at := range armed {
					if !at.After(now) {
						fires[i]++
						delete(armed, i)
					}
				}
			},
			"": func(t *rapid.T) {
				if w.Len() != len(armed) {
					t.Fatalf("%d armed, want %d", w.Len(), len(armed))
				}
				for i, p := range probes {
					if got := p.times(); len(got) != fires[i] {
						t.Fatalf("timer %d fired %d times, want %d", i, len(got), fires[i])
					}
				}
			},
		})
	})
}

func TestTicksFireInOrder(t *testing.T) {
	w := wheel.New(time.Second, 16)
	begin := time.Now()
	var order []int
	note := func(i int) *noted { return &noted{i: i, order: &order} }
	for i := range 40 {
		n := note(i * 7 % 40)
		n.Target = n
		w.Schedule(&n.Timer, begin.Add(time.Duration(n.i)*time.Second+time.Second/2))
	}
	for s := range 41 {
		w.Advance(begin.Add(time.Duration(s) * time.Second))
	}
	if len(order) != 40 || !slices.IsSorted(order) {
		t.Errorf("fired in the order %v", order)
	}
}

type noted struct {
	wheel.Timer
	i     int
	order *[]int
}

func (n *noted) Fire(*wheel.Timer, time.Time) { *n.order = append(*n.order, n.i) }

func TestSlotsCaughtUpAfterAPauseFireInOrder(t *testing.T) {
	w := wheel.New(time.Second, 64)
	begin := time.Now()
	var order []int
	for i := range 40 {
		n := &noted{i: i * 11 % 40, order: &order}
		n.Target = n
		w.Schedule(&n.Timer, begin.Add(time.Duration(n.i)*time.Second))
	}
	w.Advance(begin.Add(50 * time.Second))
	if len(order) != 40 || !slices.IsSorted(order) {
		t.Errorf("fired in the order %v", order)
	}
}

func TestTimeWithoutMonotonicReadingIsTakenFromTheWallClock(t *testing.T) {
	w := wheel.New(time.Second, 16)
	begin := time.Now()
	p := newProbe()
	w.Schedule(&p.Timer, begin.Round(0).Add(10*time.Second))
	w.Advance(begin.Add(9 * time.Second))
	if n := len(p.times()); n != 0 {
		t.Fatalf("fired %d times a second early", n)
	}
	w.Advance(begin.Add(10*time.Second + time.Millisecond))
	if n := len(p.times()); n != 1 {
		t.Fatalf("fired %d times, want once", n)
	}
}

func TestStopReachesTimersOfASlotThatIsBeingFired(t *testing.T) {
	w := wheel.New(time.Second, 8)
	begin := time.Now()
	var stopped int
	timers := make([]*stopper, 1000)
	for i := range timers {
		timers[i] = &stopper{}
		timers[i].Target = timers[i]
		timers[i].onFire = func() {
			for _, other := range timers {
				if w.Stop(&other.Timer) {
					stopped++
				}
			}
		}
		w.Schedule(&timers[i].Timer, begin)
	}
	w.Advance(begin.Add(time.Second))
	fired := 0
	for _, s := range timers {
		fired += s.fired
	}
	if fired+stopped != len(timers) || stopped == 0 || w.Len() != 0 {
		t.Errorf("%d fired, %d stopped, %d armed; want 1,000 in all, some of them stopped", fired, stopped, w.Len())
	}
}

type stopper struct {
	wheel.Timer
	onFire func()
	fired  int
}

func (s *stopper) Fire(*wheel.Timer, time.Time) {
	s.fired++
	s.onFire()
}
