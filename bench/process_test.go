package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait that is not itself a measurement.
const patience = 30 * time.Second

// process is a child whose use of the machine is read from outside.
type process struct {
	cmd *exec.Cmd
	log string        // file with its output
	end chan struct{} // closed when the child has ended
	err error         // how it ended, set before

	stopped bool
}

// CPUs of a pinned run.
const serverCPU, loadCPU = 0, 1

// start runs a child until the benchmark ends. Its output goes to a file, of
// which the end is shown when the benchmark fails.
func start(b *testing.B, s *settings, cmd *exec.Cmd) *process {
	b.Helper()
	p := &process{cmd: cmd, log: filepath.Join(b.TempDir(), "log"), end: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = out.Close() }() // the child has its own
	cmd.Stderr = out
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := launch(s, cmd); err != nil {
		b.Fatal(err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.end)
	}()
	b.Cleanup(func() { p.stop(b) })
	return p
}

// launch starts cmd, on its own CPU where that is wanted: a child inherits the
// CPUs of the thread that starts it.
func launch(s *settings, cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		// Pdeathsig follows the thread, so it must be one that stays.
		runtime.LockOSThread()
		var err error
		if s.pin {
			err = pin(0, serverCPU)
			cmd.Env = append(cmd.Environ(), "GOMAXPROCS=1")
		}
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		<-launched
	}()
	return <-started
}

// launched keeps the threads that started children until the program ends.
var launched = make(chan struct{})

// pin binds a thread, 0 for the present one, to a CPU.
func pin(thread, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(thread, &set); err != nil {
		return fmt.Errorf("pin to CPU %d: %w", cpu, err)
	}
	return nil
}

// pinAll binds every thread of this process; those to come inherit it.
func pinAll(cpu int) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err == nil {
			err = pin(id, cpu)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stop ends the child and waits for it; the second time it does nothing.
func (p *process) stop(b *testing.B) {
	if p.stopped {
		return
	}
	p.stopped = true
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.end:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill() // then it is gone
		<-p.end
		b.Error("the child did not end within 20 s of SIGTERM")
	}
	if b.Failed() {
		text, _ := os.ReadFile(p.log) // best effort
		b.Logf("end of the child's log:\n%s", text[max(0, len(text)-2000):])
	}
}

// cpu is the time that all threads of the child have run.
func (p *process) cpu(b *testing.B) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		b.Fatal("the child has ended:", err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+2:]))
	ticks := 0
	for _, i := range []int{11, 12} { // utime and stime, fields 14 and 15 of proc(5)
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100) // USER_HZ is 100 on Linux
}

// writes is how many system calls of the child wrote something, to sockets for
// the most part.
func (p *process) writes(b *testing.B) float64 { return p.field(b, "io", "syscw:") }

// resident is the child's memory, in bytes, without the files that it has mapped.
func (p *process) resident(b *testing.B) float64 { return p.field(b, "status", "RssAnon:") * 1024 }

// field reads a number from a file of the child's in /proc.
func (p *process) field(b *testing.B, file, name string) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	if err != nil {
		b.Fatal("the child has ended:", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(n)
		}
	}
	b.Fatalf("no %s in /proc", name)
	return 0
}

// ownCPU is what this process has used: the load.
func ownCPU(b *testing.B) time.Duration {
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// machineCPU is what all processes together have used.
func machineCPU(b *testing.B) time.Duration {
	b.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		b.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	ticks := 0
	for i, field := range strings.Fields(line)[1:9] {
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		if i != 3 && i != 4 { // idle and waiting for the disk
			ticks += n
		}
	}
	return time.Duration(ticks) * (time.Second / 100)
}

// usage is the CPU time up to now of the child, of the load, and of the whole
// machine.
type usage struct{ server, load, machine time.Duration }

func (p *process) usage(b *testing.B) usage {
	return usage{p.cpu(b), ownCPU(b), machineCPU(b)}
}

// usageOf is that of several children together.
func usageOf(b *testing.B, ps []*process) (u usage) {
	for _, p := range ps {
		u.server += p.cpu(b)
	}
	u.load, u.machine = ownCPU(b), machineCPU(b)
	return u
}

func writesOf(b *testing.B, ps []*process) (n float64) {
	for _, p := range ps {
		n += p.writes(b)
	}
	return n
}

// since gives the differences; machine becomes what others used.
func (u usage) since(then usage) usage {
	d := usage{u.server - then.server, u.load - then.load, u.machine - then.machine}
	d.machine = max(d.machine-d.server-d.load, 0)
	return d
}

var programPath = filepath.Join(os.TempDir(), fmt.Sprintf("rollcall-bench-node-%d", os.Getpid()))

// program builds cmd/node at programPath, once per run.
var program = sync.OnceValue(func() error {
	out, err := exec.Command("go", "build", "-o", programPath, "rollcall/cmd/node").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
})
