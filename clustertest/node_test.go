package clustertest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Ports of every node; each has an address of its own.
const (
	clientPort = 8080
	adminPort  = 8081
	gossipPort = 7946
	peerPort   = 7947
)

// node is one process of cmd/node at a time. Its place, its data and its secrets
// stay.
type node struct {
	name string
	host *host
	args []string
	data string // directory
	role string // its only one, empty: it has both
	log  string // file, over all its processes
	http *http.Client

	id string // by which the others know it

	mu     sync.Mutex
	cmd    *exec.Cmd
	end    chan struct{} // closed when the process has ended
	err    error         // how, set before
	paused bool
	cut    bool // from everybody
}

// alive is whether there is a process; it may be paused.
func (n *node) alive() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return false
	}
	select {
	case <-n.end:
		return false
	default:
		return true
	}
}

// reachable is whether the node can be expected to answer the test.
func (n *node) reachable() bool {
	n.mu.Lock()
	silent := n.paused || n.cut
	n.mu.Unlock()
	return n.alive() && !silent
}

func (n *node) silence(paused, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paused, n.cut = paused, cut
}

func (n *node) address(port int) string { return fmt.Sprintf("%s:%d", n.host.addr, port) }

// start runs the program. Its process ends with the test at the latest.
func (n *node) start(path string, more ...string) error {
	if n.alive() {
		return fmt.Errorf("%s runs already", n.name)
	}
	out, err := os.OpenFile(n.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // the process has its own
	cmd := exec.Command(path, append(slices.Clone(n.args), more...)...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "GOTRACEBACK=all")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	end := make(chan struct{})
	if err := n.host.within(end, cmd.Start); err != nil {
		return fmt.Errorf("start %s: %w", n.name, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cmd, n.end, n.err, n.paused = cmd, end, nil, false
	go func() { // ends with the process, which stop and kill wait for
		err := cmd.Wait()
		n.mu.Lock()
		defer n.mu.Unlock()
		n.err = err
		close(end)
	}()
	return nil
}

func (n *node) signal(s syscall.Signal) error {
	if !n.alive() {
		return fmt.Errorf("%s does not run", n.name)
	}
	return n.cmd.Process.Signal(s)
}

// kill ends the process in the hardest way and waits for that.
func (n *node) kill() error {
	if err := n.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-n.end
	return nil
}

// wait waits for the process to end by itself, with exit code 0.
func (n *node) wait(most time.Duration) error {
	select {
	case <-n.end:
	case <-time.After(most):
		return fmt.Errorf("%s has not ended within %s", n.name, most)
	}
	if n.err != nil {
		return fmt.Errorf("%s ended badly: %w", n.name, n.err)
	}
	return nil
}

// ready asks the node whether it should get traffic.
func (n *node) ready() error { return n.healthy("/readyz") }

// lives asks the node whether it runs.
func (n *node) lives() error { return n.healthy("/livez") }

func (n *node) healthy(path string) error {
	_, err := fetch(context.Background(), n.http, "http://"+n.address(clientPort)+path, nil)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", n.name, path, err)
	}
	return nil
}

// said is whether the node's log has one of the words.
func (n *node) said(words ...string) bool {
	text := n.text()
	return slices.ContainsFunc(words, func(w string) bool { return bytes.Contains(text, []byte(w)) })
}

// tail is the end of the log without the requests, of which the test makes many.
func (n *node) tail(size int) string {
	text, err := os.ReadFile(n.log)
	if err != nil {
		return err.Error()
	}
	var lines []byte
	for line := range bytes.Lines(text) {
		if !bytes.Contains(line, []byte(`"msg":"request"`)) {
			lines = append(lines, line...)
		}
	}
	return string(lines[max(0, len(lines)-size):])
}

// built is the program under test, built once per run.
var built = sync.OnceValues(func() (string, error) {
	if *program != "" {
		return *program, nil
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("rollcall-clustertest-node-%d", os.Getpid()))
	progress("building cmd/node")
	out, err := exec.Command("go", "build", "-o", path, "rollcall/cmd/node").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func removeBuilt() {
	if path, err := built(); err == nil && *program == "" {
		_ = os.Remove(path) // it is in the directory for temporary files
	}
}
