package replica

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(800) // each seed leaves much behind
	os.Exit(m.Run())
}

func number(name string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return otherwise
}

// TestAnyHistory plays many seeds: ROLLCALL_SIM_SEEDS is how many,
// ROLLCALL_SIM_FIRST the first; ROLLCALL_SIM_SEED plays a single one.
func TestAnyHistory(t *testing.T) {
	if seed := number("ROLLCALL_SIM_SEED", 0); seed != 0 {
		report(t, seed, plant{})
		return
	}
	first, n := number("ROLLCALL_SIM_FIRST", 1), number("ROLLCALL_SIM_SEEDS", 2000)
	var played atomic.Uint64
	for part := range uint64(players) {
		t.Run("part "+strconv.FormatUint(part+1, 10), func(t *testing.T) {
			t.Parallel()
			for seed := first + part; seed < first+n; seed += players {
				if w := play(seed, plant{}, false); w.failure != "" {
					report(t, seed, plant{})
					return
				}
				if done := played.Add(1); done%progress == 0 {
					t.Logf("%d of %d seeds", done, n)
				}
			}
		})
	}
}

const (
	players  = 2    // at once
	progress = 1000 // seeds between two lines of output
)

// report plays a seed again and tells how it went wrong.
func report(t *testing.T, seed uint64, p plant) {
	t.Helper()
	w := play(seed, p, true)
	t.Logf("seed %d: %d steps, %d messages, %d elements", seed, w.steps, w.messages, len(w.ledger.entries))
	if w.failure == "" {
		return
	}
	story := w.story[max(0, len(w.story)-storyLines):]
	race := ""
	if raceOn {
		race = "-race "
	}
	t.Errorf("%s\n%s\nplay it again: ROLLCALL_SIM_SEED=%d go test %s-run TestAnyHistory -v ./replica",
		w.failure, strings.Join(story, "\n"), seed, race)
}
