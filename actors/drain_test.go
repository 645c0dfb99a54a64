package actors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/messages"
	"rollcall/presence"
)

func (d *device) hinted() []Hint {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hints
}

// elsewhere gives every user a gateway of its own.
func elsewhere(u presence.UserID) string { return "https://" + strings.TrimPrefix(u.MRI, "8:") }

// arrived says that a device has connected to another gateway.
func (w *world) arrived(d *device) {
	w.onSuperseded(&messages.Superseded{User: messages.FromUser(d.key.User), Endpoint: d.key.ID})
}

// crowd are devices of as many users.
func (w *world) crowd(n int) []*device {
	all := make([]*device, n)
	for i := range all {
		all[i] = w.connect(userAt(home, fmt.Sprint("u", i)), "phone")
	}
	return all
}

func TestEndpointsAreMovedInWaves(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		all := w.crowd(230)
		synctest.Wait()
		began, told := time.Now(), map[time.Duration]int{}
		before := 0
		moved, err := w.MoveEndpoints(t.Context(), Drain{PerSecond: 100, Hint: elsewhere, Progress: func(moved, left int) {
			synctest.Wait() // the wave has arrived
			now := 0
			for _, d := range all {
				now += len(d.hinted())
				if len(d.hinted()) > 0 {
					w.arrived(d)
				}
			}
			told[time.Since(began).Truncate(time.Second)] += now - before
			before = now
		}})
		if err != nil || moved != len(all) {
			t.Fatalf("%d moved, %v, want %d", moved, err, len(all))
		}
		if took := time.Since(began); took < 2250*time.Millisecond || took > 2500*time.Millisecond {
			t.Errorf("230 at 100 a second took %s", took)
		}
		for second, n := range told {
			if n > 100 {
				t.Errorf("%d were told in the second after %s", n, second)
			}
		}
		delays := map[time.Duration]bool{}
		for _, d := range all {
			h := d.hinted()
			if len(h) != 1 || h[0].URL != elsewhere(d.key.User) || h[0].Delay < 0 || h[0].Delay >= 200*time.Millisecond {
				t.Fatalf("%s was told %+v", d.key.User.MRI, h)
			}
			if d.reason() != CloseGoingAway {
				t.Fatalf("%s was closed with %v", d.key.User.MRI, d.reason())
			}
			delays[h[0].Delay] = true
		}
		if len(delays) < 200 {
			t.Errorf("%d different delays, want them drawn", len(delays))
		}
	})
}

// Only those who are connected take part in a wave.
func TestSlowWavesAreSlow(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		for i, d := range w.crowd(33) {
			if i%11 != 0 {
				d.link.Closed()
			}
		}
		synctest.Wait()
		began := time.Now()
		if moved, err := w.MoveEndpoints(t.Context(), Drain{PerSecond: 2}); err != nil || moved != 3 {
			t.Fatalf("%d moved, %v", moved, err)
		}
		if took := time.Since(began); took < 1500*time.Millisecond || took > 2*time.Second {
			t.Errorf("3 at 2 a second took %s", took)
		}
	})
}

// Where clients do not arrive no more are sent than must be.
func TestWavesWaitForArrivals(t *testing.T) {
	for name, tt := range map[string]struct {
		bound       time.Duration
		least, most time.Duration
	}{
		"nothing presses": {0, 14 * time.Second, 16 * time.Second}, // 50 at once, and again when these are given up
		"a deadline":      {10 * time.Second, 7 * time.Second, 9 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
				w.crowd(180)
				synctest.Wait()
				ctx := t.Context()
				if tt.bound > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.bound)
					defer cancel()
				}
				began := time.Now()
				moved, err := w.MoveEndpoints(ctx, Drain{PerSecond: 100, Hint: elsewhere})
				if took := time.Since(began); err != nil || moved != 180 || took < tt.least || took > tt.most {
					t.Errorf("%d moved within %s, %v, want 180 within %s to %s", moved, took, err, tt.least, tt.most)
				}
			})
		})
	}
}

// A moved device has its tenant's grace to come back somewhere else, and takes
// what it watches with it.
func TestMovedSessionsAreNotEnded(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, m *memoryStore) {
		d := w.connect(bob, "phone")
		d.add(alice)
		d.publishSession(1, presence.Busy, presence.ActInACall)
		wait(time.Second)
		version := w.read(alice, bob).Version
		if moved, err := w.MoveEndpoints(t.Context(), Drain{}); err != nil || moved != 1 {
			t.Fatalf("%d moved, %v", moved, err)
		}
		wait(14 * time.Second)
		if got := w.read(alice, bob); got.State.Availability != presence.Busy || got.Version != version {
			t.Errorf("within the grace %+v is shown, want %v of before", got, version)
		}
		if len(m.lists[bob]) != 1 {
			t.Errorf("%d lists are stored, want the one of before", len(m.lists[bob]))
		}
		wait(2 * time.Second)
		if got := w.read(alice, bob); got.State.Availability != presence.Offline {
			t.Errorf("after the grace %+v is shown", got)
		}
	})
}

func TestLeavingNodeTakesNoEndpoints(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		d, gone := w.connect(bob, "phone"), w.connect(carol, "phone")
		gone.link.Closed()
		synctest.Wait()
		if moved, err := w.MoveEndpoints(t.Context(), Drain{}); err != nil || moved != 1 {
			t.Fatalf("%d moved, %v, want bob alone", moved, err)
		}
		for name, a := range map[string]Attach{
			"moved":     {Key: d.key, Conn: d},
			"in grace":  {Key: gone.key, Conn: gone},
			"a new one": {Key: EndpointKey{alice, "desk"}, Conn: w.device(alice, "desk")},
		} {
			if _, err := w.Attach(t.Context(), a); !errors.Is(err, messages.ErrClosing) {
				t.Errorf("%s: %v, want ErrClosing", name, err)
			}
		}
		if len(gone.hinted()) != 0 {
			t.Error("who was not connected was told something")
		}
	})
}

// Whoever comes while the drain begins is either moved or refused, never left
// behind.
func TestNobodyIsLeftBehind(t *testing.T) {
	w := start(t)
	const n = 400
	devices := make([]*device, n)
	taken := make([]bool, n)
	var wg sync.WaitGroup
	for i := range devices {
		devices[i] = w.device(userAt(home, fmt.Sprint("u", i)), "phone")
		wg.Go(func() {
			_, err := w.Attach(t.Context(), Attach{Key: devices[i].key, Conn: devices[i]})
			if err != nil && !errors.Is(err, messages.ErrClosing) {
				t.Errorf("attach: %v", err)
			}
			taken[i] = err == nil
		})
	}
	moved, err := w.MoveEndpoints(t.Context(), Drain{PerSecond: 1e6, Hint: elsewhere})
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for i, d := range devices {
		told += len(d.hinted())
		if want := map[bool]int{true: 1}[taken[i]]; len(d.hinted()) != want {
			t.Errorf("device %d taken %v was told %d times", i, taken[i], len(d.hinted()))
		}
	}
	if told != moved {
		t.Errorf("%d were told, %d are reported", told, moved)
	}
}

func TestDrainSaysWhoIsLeft(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		all := w.crowd(100)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second-time.Millisecond)
		defer cancel()
		moved, err := w.MoveEndpoints(ctx, Drain{PerSecond: 20})
		if !errors.Is(err, context.DeadlineExceeded) || moved != 19 || !strings.Contains(err.Error(), "81 endpoints") {
			t.Errorf("%d moved, %v, want 19 and that 81 are left", moved, err)
		}
		open := 0
		for _, d := range all {
			if d.reason() == 0 {
				open++
			}
		}
		if open != 81 {
			t.Errorf("%d connections stand, want 81", open)
		}
		moved, err = w.MoveEndpoints(t.Context(), Drain{})
		if err != nil || moved != 81 {
			t.Errorf("the second time %d moved, %v, want the rest", moved, err)
		}
	})
}
