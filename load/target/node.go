package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// NodeConfig says how a node is started.
type NodeConfig struct {
	Program  string
	Dir      string // for its data and its log, which stay after Stop
	Issuer   string
	Audience string
	Sockets  int  // that it must take
	NoFsync  bool // do not force commits to the disk
}

// Node is a running child.
type Node struct {
	URL   string
	Admin string
	Log   string // file
	cmd   *exec.Cmd
	ended chan struct{} // closed when the child has ended
	err   error         // how it ended, set before
}

const (
	readyTime = 30 * time.Second
	stopTime  = 20 * time.Second
)

// Start runs a node and waits until it is ready. The child ends by Stop, and with
// this process.
func Start(ctx context.Context, c NodeConfig) (*Node, error) {
	listen, admin, err := freeAddresses()
	if err != nil {
		return nil, err
	}
	n := &Node{URL: "http://" + listen, Admin: "http://" + admin, Log: filepath.Join(c.Dir, "node.log"), ended: make(chan struct{})}
	log, err := os.Create(n.Log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own
	most := strconv.Itoa(c.Sockets + 1000)
	args := []string{
		"serve", "--listen", listen, "--admin-listen", admin, "--data", filepath.Join(c.Dir, "data"),
		"--issuer", c.Issuer, "--audience", c.Audience,
		"--max-sockets", most, "--max-sockets-per-address", most, "--max-handshakes", "100000",
	}
	if c.NoFsync {
		args = append(args, "--no-fsync")
	}
	n.cmd = exec.Command(c.Program, args...)
	n.cmd.Stdout, n.cmd.Stderr = log, log
	n.cmd.SysProcAttr = attributes()
	if err := n.launch(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Program, err)
	}
	if err := n.ready(ctx); err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	return n, nil
}

// launch starts the child from a thread that stays until the child has ended:
// the signal of attributes follows the thread, not the process. Stop waits for it.
func (n *Node) launch() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := n.cmd.Start()
		started <- err
		if err == nil {
			n.err = n.cmd.Wait()
			close(n.ended)
		}
	}()
	return <-started
}

// freeAddresses are two of this machine that nobody listens on just now.
func freeAddresses() (a, b string, err error) {
	var free [2]string
	for i := range free {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		defer func() { _ = l.Close() }() // the node takes it
		free[i] = l.Addr().String()
	}
	return free[0], free[1], nil
}

// Ended is closed when the node has ended, by itself or by Stop.
func (n *Node) Ended() <-chan struct{} { return n.ended }

func (n *Node) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for {
		if err := Ready(ctx, n.URL); err == nil {
			return nil
		}
		select {
		case <-n.ended:
			return fmt.Errorf("the node has ended: %w\n%s", n.err, n.tail())
		case <-ctx.Done():
			return fmt.Errorf("the node is not ready after %s: %w\n%s", readyTime, ctx.Err(), n.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tail is the end of the node's log.
func (n *Node) tail() string {
	text, _ := os.ReadFile(n.Log) // best effort
	return string(text[max(0, len(text)-2000):])
}

// Stop ends the node and waits for it.
func (n *Node) Stop() error {
	_ = n.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-n.ended:
	case <-time.After(stopTime):
		_ = n.cmd.Process.Kill() // then it is gone
		<-n.ended
		return fmt.Errorf("the node did not end within %s of SIGTERM, see %s", stopTime, n.Log)
	}
	if n.err != nil {
		return fmt.Errorf("the node ended badly, its log is %s: %w\n%s", n.Log, n.err, n.tail())
	}
	return nil
}

// client asks nodes for small things, a connection each.
var client = http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
	DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment,
}}

// Ready asks a node whether it should get traffic.
func Ready(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("no node answers at %s: %w", url, err)
	}
	defer func() { _ = res.Body.Close() }() // only the status counts
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is not ready: its /readyz is answered %s", url, res.Status)
	}
	return nil
}
