package measure

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/load/population"
)

var t0 = time.Unix(1_800_000_000, 0)

func at(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }

func due(ms int, s population.State) Publish { return Publish{Due: at(ms), State: s} }

func TestLatencyRunsFromWhenThePublishWasDue(t *testing.T) {
	l := NewLedger(1)
	if send, _ := l.Begin(0, due(0, population.Busy)); !send {
		t.Fatal("the first is not sent")
	}
	if send, dropped := l.Begin(0, due(100, population.Away)); send || dropped {
		t.Fatal("the second does not wait for the first")
	}
	was, next, ok := l.Answered(0, 10)
	if !ok || !was.Due.Equal(at(0)) || next == nil || !next.Due.Equal(at(100)) || next.State != population.Away {
		t.Fatalf("answered %+v, next %+v", was, next)
	}
	// A watcher has the change before the publisher has the answer.
	if s := l.Seen(0, 10, 20, []byte("Away")); !s.Due.Equal(at(100)) || s.Skipped != 0 {
		t.Errorf("sight %+v, want the publish under way", s)
	}
	if was, next, _ = l.Answered(0, 20); !was.Due.Equal(at(100)) || next != nil {
		t.Errorf("answered %+v, next %+v", was, next)
	}
	// A late watcher gets only the second: one is skipped.
	if s := l.Seen(0, 5, 20, []byte("Away")); !s.Due.Equal(at(100)) || s.Skipped != 1 {
		t.Errorf("sight %+v, want the second and one skipped", s)
	}
	if _, _, ok := l.Answered(0, 30); ok {
		t.Error("an answer to nothing counts")
	}
}

func TestChangesThatNobodyPublished(t *testing.T) {
	l := NewLedger(1)
	l.Begin(0, due(0, population.Busy))
	l.Answered(0, 10)
	if s := l.Seen(0, 10, 15, []byte("Offline")); !s.Due.IsZero() {
		t.Errorf("a lost device's change is taken for a publish: %+v", s)
	}
	l.Begin(0, due(50, population.Available))
	if s := l.Seen(0, 15, 17, []byte("AvailableIdle")); !s.Due.IsZero() {
		t.Errorf("a fade is taken for the publish under way: %+v", s)
	}
	if l.Newest(0) != 17 {
		t.Errorf("newest is %d, want 17", l.Newest(0))
	}
}

func TestBehind(t *testing.T) {
	l := NewLedger(1)
	for i := range 3 {
		l.Begin(0, due(100*i, population.State(i)))
		l.Answered(0, uint64(10*(i+1)))
	}
	for has, want := range map[uint64]time.Duration{30: 0, 20: 300 * time.Millisecond, 10: 400 * time.Millisecond, 0: 500 * time.Millisecond} {
		if got := l.Behind(0, has, t0.Add(-time.Second), at(500)); got != want {
			t.Errorf("with version %d it is %s behind, want %s", has, got, want)
		}
	}
	if got := l.Behind(0, 0, at(150), at(500)); got != 300*time.Millisecond {
		t.Errorf("connected at 150 ms it is %s behind, want only what came later", got)
	}
}

func TestWaitingIsBounded(t *testing.T) {
	l := NewLedger(1)
	l.Begin(0, due(0, population.Busy))
	dropped := 0
	for i := range 20 {
		if _, gone := l.Begin(0, due(i, population.Away)); gone {
			dropped++
		}
	}
	if dropped != 20-mostWaiting || l.Unanswered() != 1+mostWaiting {
		t.Errorf("%d given up, %d unanswered", dropped, l.Unanswered())
	}
	n := 0
	for _, next, ok := l.Refused(0); ok; _, next, ok = l.Refused(0) {
		if n++; next == nil {
			break
		}
	}
	if n != 1+mostWaiting || l.Unanswered() != 0 {
		t.Errorf("%d refused, %d left", n, l.Unanswered())
	}
}

func TestPostponeMovesOnlyForward(t *testing.T) {
	l := NewLedger(1)
	l.Begin(0, due(100, population.Busy))
	l.Postpone(0, at(50))
	if p, _ := l.Open(0); !p.Due.Equal(at(100)) {
		t.Errorf("due at %s", p.Due.Sub(t0))
	}
	l.Postpone(0, at(150))
	if p, _ := l.Open(0); !p.Due.Equal(at(150)) {
		t.Errorf("due at %s", p.Due.Sub(t0))
	}
}

// However answers and sights come, the newest only rises and a sight never dates
// from after the version that it shows was answered.
func TestLedgerLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := NewLedger(1)
		now, version, newest := 0, uint64(0), uint64(0)
		dues := map[uint64]time.Time{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now++
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				l.Begin(0, due(now, population.Busy))
			case 1:
				version += 2
				if was, _, ok := l.Answered(0, version); ok {
					dues[version], newest = was.Due, max(newest, version)
				} else {
					version -= 2
				}
			default:
				v := rapid.Uint64Range(1, version+1).Draw(t, "version")
				s := l.Seen(0, v-1, v, []byte("Offline"))
				newest = max(newest, v)
				if want := dues[v]; !s.Due.IsZero() && !s.Due.Equal(want) {
					t.Fatalf("version %d is dated %s, want %s", v, s.Due.Sub(t0), want.Sub(t0))
				}
			}
			if l.Newest(0) != newest {
				t.Fatalf("newest %d, want %d", l.Newest(0), newest)
			}
		}
	})
}

func TestRecorder(t *testing.T) {
	r := NewRecorder(t0)
	for i := 1; i <= 1000; i++ {
		r.Record(Received, int32(i), time.Duration(i)*time.Millisecond)
	}
	r.Add(Delivered, 1000)
	r.Record(Ready, 0, time.Second)
	r.Deny(Denied, "publish_rate")
	p := r.Tick(at(2000))
	q := p.Quant["received"]
	if p.Seconds != 2 || p.Counts["delivered"] != 1000 || q.Count != 1000 || math.Abs(q.P50-500e6) > 1e6 || math.Abs(q.P99-990e6) > 2e6 || math.Abs(q.Max-1e9) > 2e6 {
		t.Errorf("interval of %g s, %d delivered, %+v", p.Seconds, p.Counts["delivered"], q)
	}
	r.Restart(at(2000))
	r.Record(Received, 1, 5*time.Millisecond)
	r.Add(Delivered, 1)
	if p := r.Tick(at(3000)); p.Counts["delivered"] != 1 || p.Quant["received"].Count != 1 {
		t.Errorf("second interval %+v", p)
	}
	total := r.Total(at(4000))
	if total.Seconds != 2 || total.Counts["delivered"] != 1 || total.Quant["received"].Count != 1 {
		t.Errorf("the run-up counts: %+v", total)
	}
	if total.Quant["ready"].Count != 1 || total.Counts["denied"] != 1 || r.Codes()["publish_rate"] != 1 {
		t.Errorf("connecting does not count: %+v", total)
	}
}

func TestBarsHoldEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := histogram()
		n := rapid.IntRange(1, 200).Draw(t, "n")
		for range n {
			_ = h.RecordValue(rapid.Int64Range(0, longest).Draw(t, "us"))
		}
		sum, last := int64(0), 0.0
		for _, b := range bars(h) {
			if b.To <= last || b.Count < 1 {
				t.Fatalf("bar %+v after %g", b, last)
			}
			sum, last = sum+b.Count, b.To
		}
		if sum != int64(n) || last < float64(h.Max())*1000/1.01 {
			t.Fatalf("%d of %d in the bars, up to %g of %d us", sum, n, last, h.Max())
		}
	})
}

func TestNamesAreThoseOfObjectives(t *testing.T) {
	for _, l := range All() {
		if l.String() == "" {
			t.Errorf("histogram %d has no name", l)
		}
	}
	seen := map[string]bool{}
	for c := range counters {
		if name := c.String(); name == "" || seen[name] {
			t.Errorf("counter %d is called %q", c, name)
		}
		seen[c.String()] = true
	}
}
