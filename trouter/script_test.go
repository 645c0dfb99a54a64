package trouter_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/trouter"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata/*.txt")

// TestScripts runs each testdata/*.txt. A line that begins with ">" is a
// command, the lines below it are what it must answer; "#" begins a remark.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newScript()
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		switch command, ok := strings.CutPrefix(line, "> "); {
		case ok:
			fmt.Fprintf(&out, "%s\n%s", line, s.run(strings.Fields(command)))
		case line == "" || line[0] == '#':
			fmt.Fprintln(&out, line)
		}
	}
	if out.String() == string(text) {
		return
	}
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s differs (-update rewrites it); got:\n%s", file, out.String())
}

// script is a queue and a client that share a clock, and a name for each
// publisher.
type script struct {
	queue   trouter.Queue[string]
	recv    trouter.Receiver
	lim     trouter.Limits
	now     time.Time
	numbers map[string]uint32
}

func newScript() *script {
	return &script{lim: trouter.DefaultLimits, now: start, numbers: map[string]uint32{}}
}

func (s *script) number(name string) uint32 {
	n, ok := s.numbers[name]
	if !ok {
		n = uint32(len(s.numbers) + 1)
		s.numbers[name] = n
	}
	return n
}

func (s *script) run(args []string) string {
	commands := map[string]func([]string) string{
		"limits": s.limits, "at": s.at, "put": s.put, "next": s.next, "ack": s.ack, "due": s.due,
		"drop": s.drop, "detach": s.detach, "replay": s.replay, "deadline": s.deadline,
		"expire": s.expire, "resynced": s.resynced, "state": s.state,
		"receive": s.receive, "answer": s.answer, "answer-due": s.answerDue, "reset": s.reset,
	}
	command, ok := commands[args[0]]
	if !ok {
		return "no such command\n"
	}
	return command(args[1:])
}

func (s *script) limits(args []string) string {
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		n, _ := strconv.Atoi(value)
		d, _ := time.ParseDuration(value)
		switch key {
		case "window":
			s.lim.Window = n
			s.recv.Open(n)
		case "items":
			s.lim.BatchItems = n
		case "batch":
			s.lim.BatchBytes = n
		case "queue":
			s.lim.QueueBytes = n
		case "ttl":
			s.lim.TTL = d
		case "stall":
			s.lim.Stall = d
		default:
			return "no such limit\n"
		}
	}
	return ""
}

func (s *script) at(args []string) string {
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return err.Error() + "\n"
	}
	s.now = start.Add(d)
	return ""
}

func (s *script) put(args []string) string {
	version, err := strconv.ParseUint(args[1], 10, 64)
	size, err2 := strconv.Atoi(strings.TrimSuffix(args[2], "b"))
	if err != nil || err2 != nil {
		return "put NAME VERSION SIZEb\n"
	}
	it := trouter.Item[string]{Publisher: s.number(args[0]), Version: version, Size: size, Value: args[0]}
	outcomes := map[trouter.Outcome]string{
		trouter.Queued: "queued", trouter.Replaced: "replaced", trouter.Stale: "stale", trouter.Overflow: "overflow",
	}
	return outcomes[s.queue.Put(it, s.now, &s.lim)] + "\n"
}

func (s *script) next([]string) string {
	b, ok := s.queue.Next(s.now, &s.lim)
	if !ok {
		return "nothing\n"
	}
	return show([]trouter.Batch[string]{b})
}

func show(batches []trouter.Batch[string]) string {
	if len(batches) == 0 {
		return "nothing\n"
	}
	var out strings.Builder
	for _, b := range batches {
		fmt.Fprintf(&out, "batch %d send %d:", b.Seq, b.Sent)
		for _, it := range b.Items {
			fmt.Fprintf(&out, " %s@%d", it.Value, it.Version)
		}
		fmt.Fprintln(&out)
	}
	return out.String()
}

func (s *script) ack(args []string) string {
	seq, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return err.Error() + "\n"
	}
	acked, err := s.queue.Ack(seq, s.now)
	if err != nil {
		return err.Error() + "\n"
	}
	return show(acked)
}

func (s *script) due([]string) string    { return show(s.queue.Due(s.now)) }
func (s *script) replay([]string) string { return show(s.queue.Replay(s.now)) }

func (s *script) drop(args []string) string {
	s.queue.Drop(s.number(args[0]))
	return ""
}

func (s *script) detach([]string) string {
	s.queue.Detach()
	return ""
}

func (s *script) deadline([]string) string {
	at, ok := s.queue.Deadline(&s.lim)
	if !ok {
		return "none\n"
	}
	return at.Sub(start).String() + "\n"
}

func (s *script) expire([]string) string {
	return map[trouter.Loss]string{
		trouter.None: "nothing", trouter.Stalled: "stalled", trouter.Resync: "resync",
	}[s.queue.Expire(s.now, &s.lim)] + "\n"
}

func (s *script) resynced([]string) string {
	s.queue.Resynced()
	return ""
}

func (s *script) state([]string) string {
	need := ""
	if s.queue.NeedsResync() {
		need = ", needs resync"
	}
	return fmt.Sprintf("%d pending, %d in flight, %d bytes, last %d%s\n",
		s.queue.Len(), s.queue.InFlight(), s.queue.Bytes(), s.queue.LastSeq(), need)
}

// receive SEQ NAME@VERSION...: the client gets a batch; it answers with what it
// shows because of it.
func (s *script) receive(args []string) string {
	seq, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return err.Error() + "\n"
	}
	if !s.recv.Batch(seq, s.now) {
		return "known\n"
	}
	out := "shows"
	for _, it := range args[1:] {
		name, version, _ := strings.Cut(it, "@")
		v, err := strconv.ParseUint(version, 10, 64)
		if err != nil {
			return err.Error() + "\n"
		}
		if s.recv.Apply(name, v) {
			out += " " + it
		}
	}
	return out + "\n"
}

func (s *script) answer([]string) string { return fmt.Sprintf("ack %d\n", s.recv.Ack()) }

func (s *script) answerDue([]string) string {
	at, ok := s.recv.AckDue()
	if !ok {
		return "none\n"
	}
	return at.Sub(start).String() + "\n"
}

func (s *script) reset(args []string) string {
	seq, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return err.Error() + "\n"
	}
	s.recv.Reset(seq)
	return ""
}
