package bench

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// settings are the sizes of a run. The defaults are for a check; make figures
// sets the full ones.
type settings struct {
	connections int           // ROLLCALL_BENCH_CONNECTIONS
	watchers    int           // of each publisher, and watched by each connection
	users       int           // ROLLCALL_BENCH_USERS: stored before a cold start
	resync      int           // ROLLCALL_BENCH_RESYNC: users that a new node fetches
	rate        int           // ROLLCALL_BENCH_RATE: publishes a second, where they are replicated
	window      time.Duration // ROLLCALL_BENCH_WINDOW: of each measurement
	settle      time.Duration // ROLLCALL_BENCH_SETTLE: before memory is read
	pin         bool          // ROLLCALL_BENCH_PIN=1: server on CPU 0, load on CPU 1
}

func load(b *testing.B) settings {
	b.Helper()
	s := settings{
		connections: number(b, "ROLLCALL_BENCH_CONNECTIONS", 500),
		watchers:    50,
		users:       number(b, "ROLLCALL_BENCH_USERS", 20_000),
		resync:      number(b, "ROLLCALL_BENCH_RESYNC", 10_000),
		rate:        number(b, "ROLLCALL_BENCH_RATE", 200),
		window:      duration(b, "ROLLCALL_BENCH_WINDOW", 500*time.Millisecond),
		settle:      duration(b, "ROLLCALL_BENCH_SETTLE", time.Second),
		pin:         pinned(),
	}
	if s.connections <= s.watchers {
		b.Fatalf("ROLLCALL_BENCH_CONNECTIONS is %d, want more than the %d watchers of a publisher", s.connections, s.watchers)
	}
	return s
}

func number(b *testing.B, name string, small int) int {
	b.Helper()
	text := os.Getenv(name)
	if text == "" {
		return small
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("%s is %q, want a number above zero", name, text)
	}
	return n
}

func duration(b *testing.B, name string, small time.Duration) time.Duration {
	b.Helper()
	text := os.Getenv(name)
	if text == "" {
		return small
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		b.Fatalf("%s is %q, want a time as 10s", name, text)
	}
	return d
}
