package gossip

import (
	"flag"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

const spinVariable = "ROLLCALL_GOSSIP_SPIN"

var starveFlag = flag.Duration("gossip.starve", 2*time.Second, "how long TestStarved takes the processor away")

func spin() {
	for range runtime.NumCPU() {
		go func() {
			for n := uint64(1); n != 0; n++ { // a century
			}
		}()
	}
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent has gone
}

// starve starts two busy loops per core, in other processes.
func starve(t testing.TB) {
	t.Helper()
	for range 2 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), spinVariable+"=1")
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = in.Close()
			_ = c.Wait()
		})
	}
}

// TestStarved reports how many live members are taken for dead when there are
// two busy loops for each core, and shows that they come back.
func TestStarved(t *testing.T) {
	for _, members := range []int{3, many} {
		all := startProcesses(t, members)
		var late time.Duration
		t.Run("busy", func(t *testing.T) {
			starve(t)
			late = lateness(*starveFlag)
		})
		names(t, all, 30*time.Second, ids(0, members))
		dead, suspicions := 0.0, 0.0
		for _, p := range all {
			d, s := p.ended(t)
			dead, suspicions = dead+d, suspicions+s
		}
		t.Logf("%d members, two busy loops per core for %v: %v suspicions, %v false deaths; timers were up to %v late",
			members, *starveFlag, suspicions, dead, late.Round(time.Millisecond))
	}
}

// lateness is how late a timer of 10 ms was at worst.
func lateness(within time.Duration) (worst time.Duration) {
	for end := time.Now().Add(within); time.Now().Before(end); {
		began := time.Now()
		time.Sleep(10 * time.Millisecond)
		worst = max(worst, time.Since(began)-10*time.Millisecond)
	}
	return worst
}
