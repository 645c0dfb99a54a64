package bench

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(floorVariable); address != "" {
		os.Exit(serveFloor(address))
	}
	if pinned() {
		if err := pinAll(loadCPU); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	code := m.Run()
	close(launched)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	_ = os.Remove(programPath) // not there when nothing was measured
	os.Exit(code)
}

// pinned is whether node and load get a CPU each.
func pinned() bool { return os.Getenv("ROLLCALL_BENCH_PIN") == "1" }
