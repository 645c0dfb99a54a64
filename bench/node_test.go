package bench

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// node is the program under load.
type node struct {
	*process
	listen string // host:port
	admin  string
}

// startNode fills a data directory and runs the program on it until the
// benchmark ends. flags are further ones, env further variables.
func startNode(b *testing.B, s *settings, i *issuer, flags ...string) *node {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "data")
	seed(b, dir, 0)
	n := openNode(b, s, i, dir, flags...)
	n.ready(b)
	return n
}

// openNode runs the program on a directory and does not wait for it.
func openNode(b *testing.B, s *settings, i *issuer, dir string, flags ...string) *node {
	b.Helper()
	if err := program(); err != nil {
		b.Fatal(err)
	}
	n := &node{listen: freeAddress(b), admin: freeAddress(b)}
	args := append([]string{
		"serve", "--listen", n.listen, "--admin-listen", n.admin, "--data", dir,
		"--issuer", i.URL, "--audience", audience,
		"--max-sockets", "100000", "--max-sockets-per-address", "100000", "--max-handshakes", "100000",
	}, flags...)
	cmd := exec.Command(programPath, args...)
	cmd.Env = append(os.Environ(), "GOTRACEBACK=single")
	n.process = start(b, s, cmd)
	return n
}

func freeAddress(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }() // the node takes it
	return l.Addr().String()
}

// ready waits until the node says that it should get traffic, and gives the
// time at which it did.
func (n *node) ready(b *testing.B) time.Time {
	b.Helper()
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		res, err := client.Get("http://" + n.listen + "/readyz")
		if err == nil {
			_ = res.Body.Close() // only the status counts
			if res.StatusCode == http.StatusOK {
				return time.Now()
			}
		}
		select {
		case <-n.end:
			b.Fatal("the node ended:", n.err)
		case <-time.After(2 * time.Millisecond):
		}
	}
	b.Fatal("the node did not become ready")
	return time.Time{}
}

func (n *node) get(b *testing.B, path string) string {
	b.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + n.admin + path)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it was read
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		b.Fatalf("%s: status %d, %v", path, res.StatusCode, err)
	}
	return string(text)
}

// metrics are the node's counters by name, those with labels left out.
func (n *node) metrics(b *testing.B) map[string]float64 {
	b.Helper()
	m := make(map[string]float64)
	for line := range strings.Lines(n.get(b, "/metrics")) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") || strings.ContainsRune(name, '{') {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			m[name] = v
		}
	}
	if len(m) == 0 {
		b.Fatal("the node has no metrics")
	}
	return m
}

// memory of the node after its garbage was collected.
type memory struct{ resident, heap, stack, goroutines float64 }

func (n *node) memory(b *testing.B) memory {
	b.Helper()
	for range 3 { // stacks shrink by half per cycle, pools need two
		n.get(b, "/debug/pprof/heap?gc=1")
	}
	m := n.metrics(b)
	return memory{n.resident(b), m["go_memstats_heap_alloc_bytes"], m["go_memstats_stack_inuse_bytes"], m["go_goroutines"]}
}

// profile saves a CPU profile of the node while measure runs, if
// ROLLCALL_BENCH_PROFILE names a directory.
func (n *node) profile(b *testing.B, name string, window time.Duration) (done func()) {
	dir := os.Getenv("ROLLCALL_BENCH_PROFILE")
	if dir == "" {
		return func() {}
	}
	fetched := make(chan string, 1)
	go func() {
		client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", n.admin, max(1, int(window.Seconds()))))
		if err != nil {
			fetched <- ""
			return
		}
		defer func() { _ = res.Body.Close() }() // it was read
		text, _ := io.ReadAll(res.Body)         // a short profile is seen by pprof
		fetched <- string(text)
	}()
	return func() {
		if err := os.WriteFile(filepath.Join(dir, name+".pprof"), []byte(<-fetched), 0o600); err != nil {
			b.Error(err)
		}
	}
}
