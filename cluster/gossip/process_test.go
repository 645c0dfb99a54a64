package gossip

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/cluster/topology"
)

// A process with this variable is a member: "number seed".
const memberVariable = "ROLLCALL_GOSSIP_MEMBER"

// runMember is a member until its standard input ends. It says its address, and
// the ids of every list, and at the end what it has counted.
func runMember(order string) {
	var number int
	var seed string
	_, _ = fmt.Sscan(order, &number, &seed)
	var out = make(chan string, 1000)
	r, err := tryReal(number, func(c *Config, _ *tuning) {
		if seed != "" {
			c.Join = []string{seed}
		}
		c.Changed = func(list []topology.Member) { out <- "list " + strings.Join(idsOf(list), ",") }
	})
	if err != nil {
		fmt.Println("failed", err)
		return
	}
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		dead, _ := value(r.metrics.gone.WithLabelValues(string(Dead)))
		suspicions, _ := value(r.metrics.suspicions)
		out <- fmt.Sprintln("counts", dead, suspicions)
		close(out)
	}()
	fmt.Println("addr", r.Addr())
	for line := range out {
		fmt.Println(line)
	}
}

// process is a member in a process of its own.
type process struct {
	id    string
	addr  string
	cmd   *exec.Cmd
	input io.Closer
	lines chan string
	list  string
	when  time.Time // the newest list came
}

func startProcess(t testing.TB, number int, seed string) *process {
	t.Helper()
	p := &process{id: testMember(number, 1).ID, cmd: exec.Command(os.Args[0]), lines: make(chan string, 1000)}
	p.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", memberVariable, number, seed))
	input, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.input = input
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(p.lines)
		for s := bufio.NewScanner(output); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-done
		_ = p.cmd.Wait()
	})
	p.addr, _ = strings.CutPrefix(<-p.lines, "addr ")
	if p.addr == "" {
		t.Fatal("a member's process did not start")
	}
	return p
}

func (p *process) read(line string) {
	if list, ok := strings.CutPrefix(line, "list "); ok {
		p.list, p.when = list, time.Now()
	}
}

// names waits until every process names these members, and returns when the last
// one did.
func names(t testing.TB, all []*process, within time.Duration, ids []string) (last time.Time) {
	t.Helper()
	want := strings.Join(ids, ",")
	late := time.After(within)
	for _, p := range all {
		for p.list != want {
			select {
			case line := <-p.lines:
				p.read(line)
			case <-late:
				t.Fatalf("%s names %s, not %s after %v", p.id, p.list, want, within)
			}
		}
		if p.when.After(last) {
			last = p.when
		}
	}
	return last
}

// ended ends a process in good order and returns what it had counted.
func (p *process) ended(t testing.TB) (dead, suspicions float64) {
	t.Helper()
	_ = p.input.Close()
	for line := range p.lines {
		if n, _ := fmt.Sscanf(line, "counts %g %g", &dead, &suspicions); n == 2 {
			return dead, suspicions
		}
	}
	t.Fatalf("%s ended without its counts", p.id)
	return 0, 0
}

func startProcesses(t testing.TB, members int) (all []*process) {
	t.Helper()
	seed := ""
	for i := range members {
		all = append(all, startProcess(t, i, seed))
		seed = all[0].addr
	}
	names(t, all, 30*time.Second, ids(0, members))
	return all
}

// TestKilledProcess kills members' processes and reports how long they are
// thought to live.
func TestKilledProcess(t *testing.T) {
	for _, members := range []int{3, many} {
		all := startProcesses(t, members)
		began := time.Now()
		if err := all[members-1].cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		last := names(t, all[:members-1], 15*time.Second, ids(0, members-1))
		t.Logf("%d processes: the killed one is known as dead by all after %v", members, last.Sub(began).Round(10*time.Millisecond))
		if slices.ContainsFunc(all[:members-1], func(p *process) bool { return p.cmd.ProcessState != nil }) {
			t.Error("another process has ended")
		}
		for _, p := range all[:members-1] {
			p.ended(t)
		}
	}
}
