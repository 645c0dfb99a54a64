package target

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// ThisMachine is what there is here.
func ThisMachine() Machine {
	m := Machine{Loopback: 250}
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		m.Files = files.Max // a Go program raises itself from the soft to the hard limit
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.Available = meminfo(string(text))
	}
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		var from, to int
		if _, err := fmt.Sscan(string(text), &from, &to); err == nil {
			m.Ports = max(to-from, 0)
		}
	}
	return m
}

// Describe is the machine in a line.
func Describe() string {
	model := ""
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = ", " + strings.TrimSpace(value)
				break
			}
		}
	}
	var kernel unix.Utsname
	release := ""
	if unix.Uname(&kernel) == nil {
		release = ", Linux " + unix.ByteSliceToString(kernel.Release[:])
	}
	return fmt.Sprintf("%d CPUs%s, %s free%s", runtime.NumCPU(), model, size(ThisMachine().Available), release)
}

// OwnUsage is what this process has used: seconds of CPU, and resident bytes.
func OwnUsage() (cpu, memory float64) {
	var use unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &use) == nil {
		cpu = float64(use.Utime.Nano()+use.Stime.Nano()) / 1e9
	}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		var total, resident float64
		if _, err := fmt.Sscan(string(text), &total, &resident); err == nil {
			memory = resident * float64(os.Getpagesize())
		}
	}
	return cpu, memory
}
