package peers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

func contextOfProcess() (context.Context, context.CancelFunc) {
	return context.WithCancel(context.Background())
}

// process is a node in a process of its own.
type process struct {
	t        testing.TB
	settings childSettings
	addr     string
	started  string
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      *bufio.Scanner
	log      *syncBuffer
	ended    bool
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func startProcess(t testing.TB, s childSettings) *process {
	t.Helper()
	if s.Bind == "" {
		s.Bind = "127.0.0.1:0"
	}
	if s.Cluster == "" {
		s.Cluster = "test"
	}
	if s.Incarnation == 0 {
		s.Incarnation = 1000
	}
	p := &process{t: t, settings: s, cmd: exec.Command(os.Args[0]), log: &syncBuffer{}}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Env = append(os.Environ(), childVariable+"="+string(b))
	p.cmd.Stderr = p.log
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	p.out.Buffer(nil, 1<<20)
	t.Cleanup(p.end)
	p.addr, p.started, _ = strings.Cut(p.line(), " ")
	return p
}

// end closes the process and fails the test if it leaks or crashed.
func (p *process) end() {
	if p.ended {
		return
	}
	p.ended = true
	_ = p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("node %s: %v\n%s", p.settings.ID, err, p.log.String())
	}
}

func (p *process) kill() {
	p.ended = true
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *process) line() string {
	p.t.Helper()
	if !p.out.Scan() {
		p.t.Fatalf("node %s has ended: %v\n%s", p.settings.ID, p.cmd.Wait(), p.log.String())
	}
	return p.out.Text()
}

func (p *process) do(format string, args ...any) string {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.in, format+"\n", args...); err != nil {
		p.t.Fatal(err)
	}
	return p.line()
}

func (p *process) report() (r childReport) {
	p.t.Helper()
	line := p.do("report")
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		p.t.Fatalf("%v: %s", err, line)
	}
	return r
}

// meet tells each process of all others.
func meet(all ...*process) {
	for _, p := range all {
		p.members(all...)
	}
}

func (p *process) members(all ...*process) {
	line := "members"
	for _, q := range all {
		if q.settings.ID != p.settings.ID {
			line += fmt.Sprintf(" %s=%d=%s", q.settings.ID, q.settings.Incarnation, q.addr)
		}
	}
	if got := p.do("%s", line); got != "ok" {
		p.t.Fatal(got)
	}
}

func (p *process) eventually(what string, ok func(r childReport) bool) childReport {
	p.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		r := p.report()
		if ok(r) {
			return r
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("node %s: never happened: %s; last %+v\n%s", p.settings.ID, what, r, p.log.String())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func routed(n int) func(childReport) bool { return func(r childReport) bool { return r.Routed >= n } }

func TestTwoNodesExchangeMessages(t *testing.T) {
	a, b := startProcess(t, childSettings{ID: "a"}), startProcess(t, childSettings{ID: "b"})
	meet(a, b)
	if failed := a.do("send b 20000 100 wait"); failed != "0" {
		t.Fatalf("%s messages were refused", failed)
	}
	b.do("send a 10 100 bounce")
	r := b.eventually("20,000 messages arrive", routed(20_000))
	if r.Disorder != 0 || r.Routed != 20_000 {
		t.Errorf("%d arrived, %d out of order", r.Routed, r.Disorder)
	}
	b.eventually("10 come back", func(r childReport) bool { return r.Returned == 10 })
	r = a.eventually("everything is acknowledged", func(r childReport) bool { return r.Status[0].InFlight == 0 })
	if s := r.Status[0]; s.State != "connected" || s.Sent < 20_010 || s.Lost != 0 || s.Queued != 0 {
		t.Errorf("status %+v", s)
	}
	t.Log("start took", a.started, b.started)
	t.Log(a.do("close"), b.do("close"))
}

func TestRequestOfProtoactorsCluster(t *testing.T) {
	a := startProcess(t, childSettings{ID: "a"})
	if got := a.do("request"); !strings.Contains(got, "8:x") || !strings.Contains(got, "42") || !strings.HasSuffix(got, "<nil>") {
		t.Errorf("an operator's request got %s", got)
	}
}
