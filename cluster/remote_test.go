package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/remote"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/messages"
	"rollcall/presence"
	"rollcall/wheel"
)

// peer is node "b" in a process of its own: protoactor's remote changes global
// state when it starts, so that two in one process race.
type peer struct {
	addr string
	in   io.Writer
	out  *bufio.Scanner
}

func startPeer(t *testing.T) *peer {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ROLLCALL_TEST_PEER=b")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // ends it
		_ = cmd.Wait()
	})
	p := &peer{in: in, out: bufio.NewScanner(out)}
	p.addr = p.line(t)
	return p
}

func (p *peer) line(t *testing.T) string {
	if !p.out.Scan() {
		t.Fatal("the peer has ended")
	}
	return p.out.Text()
}

// table gives the peer a table: members as id=address.
func (p *peer) table(t *testing.T, epoch int, members ...Member) {
	line := fmt.Sprint(epoch)
	for _, m := range members {
		line += " " + m.ID + "=" + m.Addr
	}
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		t.Fatal(err)
	}
	if got := p.line(t); got != "ok" {
		t.Fatal(got)
	}
}

func runPeer() {
	w := wheel.New(time.Millisecond, 256)
	n := NewNode(Config{
		ID: "b", Log: slog.New(slog.DiscardHandler), Wheel: w, Now: time.Now,
		Registerer: prometheus.NewRegistry(), Spawn: echoes("b"), Notify: func(*messages.Notify) {},
	})
	r := remote.NewRemote(n.System, remote.Configure("127.0.0.1", 0))
	r.Start()
	fmt.Println(n.System.Address())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var epoch uint64
		fields := strings.Fields(in.Text())
		if _, err := fmt.Sscan(fields[0], &epoch); err != nil {
			fmt.Println(err)
			continue
		}
		var members []Member
		for _, f := range fields[1:] {
			id, addr, _ := strings.Cut(f, "=")
			members = append(members, Member{ID: id, Addr: addr})
		}
		n.SetTable(NewTable(epoch, members))
		fmt.Println("ok")
	}
}

// Two nodes: half of the users live on each, requests reach them, a swap of the
// table moves them with the next request, and a sender with an old table is
// refused at once instead of being served by the wrong owner.
func TestVirtualActorsAcrossNodes(t *testing.T) {
	n := startNode(t, "a", echoes("a"))
	r := remote.NewRemote(n.System, remote.Configure("127.0.0.1", 0, remote.WithEndpointWriterQueueSize(64)))
	r.Start()
	t.Cleanup(func() { r.Shutdown(true) })
	p := startPeer(t)
	a, b := Member{ID: "a", Addr: n.System.Address()}, Member{ID: "b", Addr: p.addr}

	spread := NewTable(2, []Member{a, b})
	p.table(t, 2, a, b)
	n.SetTable(spread)
	where := map[string]int{}
	for i := range 200 {
		owner, _ := spread.Owner(userN(i).Shard())
		if got := ask(t, n, userN(i)); got.Error.Code != owner.ID || got.User.Mri != userN(i).MRI {
			t.Fatalf("user %d of %s was answered by %s", i, owner.ID, got.Error.Code)
		}
		where[owner.ID]++
	}
	if where["a"] < 60 || where["b"] < 60 {
		t.Errorf("spread %v", where)
	}

	p.table(t, 3, b)
	n.SetTable(NewTable(3, []Member{b}))
	p.answersTo(t, n, "b", userN)

	p.table(t, 5, a) // b owns nothing any more, a does not know yet
	start := time.Now()
	_, err := n.Request(t.Context(), User(userN(1)), &messages.Read{Viewer: messages.FromUser(userN(1))})
	if !errors.Is(err, ErrMoved) || time.Since(start) > 8*time.Second {
		t.Errorf("a stale sender got %v after %v", err, time.Since(start))
	}
}

func (p *peer) answersTo(t *testing.T, n *Node, want string, user func(int) presence.UserID) {
	t.Helper()
	for i := range 50 {
		if got := ask(t, n, user(i)); got.Error.Code != want {
			t.Fatalf("user %d is still answered by %s", i, got.Error.Code)
		}
	}
}
