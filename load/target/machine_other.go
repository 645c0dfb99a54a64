//go:build !linux

package target

import (
	"fmt"
	"runtime"
)

// ThisMachine knows little of machines that do not run Linux.
func ThisMachine() Machine { return Machine{Loopback: 1} }

// Describe is the machine in a line.
func Describe() string {
	return fmt.Sprintf("%d CPUs, %s on %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
}

// OwnUsage is not known here.
func OwnUsage() (cpu, memory float64) { return 0, 0 }
