package peers

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func acknowledged(r childReport) bool {
	return len(r.Status) > 0 && r.Status[0].State == "connected" && r.Status[0].InFlight+r.Status[0].Queued == 0
}

// A stopped peer costs its window and its queue; everything that was taken for
// it arrives when it goes on within 15 s.
func TestStoppedPeerCostsBoundedMemory(t *testing.T) {
	a, b := startProcess(t, childSettings{ID: "a"}), startProcess(t, childSettings{ID: "b"})
	meet(a, b)
	a.do("send b 1000 100 wait")
	before := a.eventually("a quiet link", acknowledged)
	b.signal(syscall.SIGSTOP)
	var failed int
	const tries = 300_000
	for range tries / 100_000 {
		var n int
		if _, err := fmt.Sscan(a.do("send b 100000 1000 drop"), &n); err != nil {
			t.Fatal(err)
		}
		failed += n
	}
	stopped := a.report()
	s := stopped.Status[0]
	t.Logf("%d messages of 1,000 bytes to a stopped peer: %d taken, RSS %d -> %d KiB, %+v",
		tries, tries-failed, before.RSS, stopped.RSS, s)
	if grown := stopped.RSS - before.RSS; grown > 160<<10 {
		t.Errorf("RSS grew by %d KiB", grown)
	}
	if s.InFlight > maxFlight || s.QueuedBytes > maxQueuedBytes || s.Shed != uint64(failed) {
		t.Errorf("%+v, %d refused", s, failed)
	}
	b.signal(syscall.SIGCONT)
	r := b.eventually("all that was taken arrives", routed(1000+tries-failed))
	if r.Disorder != 0 || r.Lost != 0 {
		t.Errorf("%d out of order, %d losses", r.Disorder, r.Lost)
	}
	a.eventually("it is acknowledged", acknowledged)
}

// A peer that is killed and comes back on its address as another process gets
// nothing of what was meant for the old one.
func TestKilledPeerIsReplaced(t *testing.T) {
	a, b := startProcess(t, childSettings{ID: "a"}), startProcess(t, childSettings{ID: "b"})
	meet(a, b)
	a.do("send b 1000 100 wait")
	a.eventually("a quiet link", acknowledged)
	b.kill()
	a.do("send b 500 100 drop")
	b2 := startProcess(t, childSettings{ID: "b", Bind: b.addr, Incarnation: 2000})
	b2.members(a)
	a.eventually("the connection is tried again", func(r childReport) bool { return r.Status[0].State != "connected" })
	time.Sleep(300 * time.Millisecond) // the new process refuses what is for the old one
	a.members(b2)
	r := a.eventually("the new process is connected", acknowledged)
	if r.Undelivered == 0 {
		t.Error("nothing came back of what waited for the old process")
	}
	if r := b2.report(); r.Routed != 0 {
		t.Errorf("the new process got %d messages for the old one", r.Routed)
	}
	a.do("send b 10 100 drop")
	b2.eventually("messages for the new process arrive", routed(10))
	if strings.Count(a.log.String(), "connection to another node has ended") > 1 {
		t.Errorf("logged more than once a minute:\n%s", a.log.String())
	}
}

// Members that come and go leave nothing behind: no goroutine (the process
// checks at its end), no member, no metric.
func TestMembersComeAndGo(t *testing.T) {
	a, b := startProcess(t, childSettings{ID: "a"}), startProcess(t, childSettings{ID: "b"})
	gone := startProcess(t, childSettings{ID: "c"})
	gone.kill()
	for range 10 {
		a.members(b, gone)
		if got := a.do("protomembers"); got != "3" {
			t.Fatalf("protoactor knows %s members", got)
		}
		a.members()
		if got := a.do("protomembers"); got != "1" {
			t.Fatalf("protoactor knows %s members", got)
		}
	}
	if r := a.report(); len(r.Status) != 0 || r.Metrics["rollcall_peer_connected"] != 0 {
		t.Errorf("%+v", r)
	}
	meet(a, b)
	a.do("send b 10 100 drop")
	b.eventually("a member that came back gets messages", routed(10))
	if got := a.do("protomembers"); got != "2" {
		t.Errorf("protoactor knows %s members", got)
	}
	a.members(b, gone)
	t.Log("closed while connecting:", a.do("close"))
}

// What a peer may not send is dropped and counted; its stream lives.
func TestOnlyFramesPass(t *testing.T) {
	a, b := startProcess(t, childSettings{ID: "a"}), startProcess(t, childSettings{ID: "b"})
	meet(a, b)
	a.do("send b 1 100 drop")
	b.eventually("the first message arrives", routed(1))
	for range 3 {
		a.do("raw %s in", b.addr)                   // another type
		a.do("raw %s activator", b.addr)            // and another actor
		a.do("stopactor %s activator", b.addr)      // a system message
		a.do("frame %s EndpointSupervisor", b.addr) // a frame for another actor
		a.do("garbage %s in", b.addr)               // a frame that holds rubbish
	}
	a.do("send b 10 100 drop")
	r := b.eventually("messages arrive after it", routed(11))
	if r.Refused["type"] != 9 || r.Refused["target"] != 3 || r.Refused["decode"] != 3 {
		t.Errorf("refused: %v", r.Refused)
	}
	if r.Disorder != 0 || r.Metrics["rollcall_peers_duplicates_total"] != 0 {
		t.Errorf("the stream was broken: %+v", r)
	}
	for _, what := range []string{"dropped: type", "dropped: target", "cannot be read"} {
		if n := strings.Count(b.log.String(), what); n != 1 {
			t.Errorf("%q was logged %d times:\n%s", what, n, b.log.String())
		}
	}
}

// Whatever connects to the data port, nodes go on.
func TestGarbageOnThePort(t *testing.T) {
	a, b := startProcess(t, childSettings{ID: "a"}), startProcess(t, childSettings{ID: "b"})
	meet(a, b)
	for name, bytes := range map[string]string{
		"nothing":   "",
		"http":      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"garbage":   strings.Repeat("\x00\xff\x17", 5000),
		"h2 cut":    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"h2 rubble": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\xff", 4000),
	} {
		for range 5 {
			conn, err := net.Dial("tcp", b.addr)
			if err != nil {
				t.Fatal(name, err)
			}
			_, _ = conn.Write([]byte(bytes))
			_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			_, _ = bufio.NewReader(conn).ReadByte()
			_ = conn.Close()
		}
	}
	conn, err := tls.Dial("tcp", b.addr, &tls.Config{InsecureSkipVerify: true})
	if err == nil {
		_ = conn.Close()
		t.Error("TLS on a port without")
	}
	a.do("send b 10 100 drop")
	b.eventually("messages arrive", routed(10))
	if n := strings.Count(b.log.String(), "\n"); n > 20 {
		t.Errorf("%d lines were logged:\n%s", n, b.log.String())
	}
}

func TestStartRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		settings childSettings
		want     string
	}{
		"taken port":      {childSettings{ID: "b"}, "in use"},
		"no port":         {childSettings{ID: "b", Bind: "127.0.0.1"}, "not host:port"},
		"no number":       {childSettings{ID: "b", Bind: "127.0.0.1:http"}, "not host:port"},
		"every address":   {childSettings{ID: "b", Bind: "0.0.0.0:0"}, "no address that others can reach"},
		"without secrets": {childSettings{ID: "b", Bind: "192.0.2.1:0"}, "certificates are required"},
		"bad cluster":     {childSettings{ID: "b", Cluster: "A b"}, "must be 1 to 64"},
		"no id":           {childSettings{}, "needs an id"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "taken port" {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = l.Close() }()
				c.settings.Bind = l.Addr().String()
			}
			p := startProcess(t, c.settings)
			if p.addr != "error" || !strings.Contains(p.started, c.want) {
				t.Errorf("%s %s", p.addr, p.started)
			}
		})
	}
}
