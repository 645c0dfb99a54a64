package cluster

import (
	"errors"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"rollcall/cluster/topology"
	"rollcall/messages"
)

func (n *testNode) Send(to string, r *messages.Routed) error {
	return n.post(to, &messages.Envelope{Routed: []*messages.Routed{r}})
}

func (n *testNode) Return(to string, r *messages.Routed) error {
	return n.post(to, &messages.Envelope{Returned: []*messages.Routed{r}})
}

func (n *testNode) Notify(to string, m *messages.Notify) error {
	return n.post(to, &messages.Envelope{Notifies: []*messages.Notify{m}})
}

var errNoPeer = errors.New("no member with this id")

func (n *testNode) post(to string, e *messages.Envelope) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.pipes[to]
	if p == nil {
		return errNoPeer
	}
	t := n.Table()
	e.Epoch, e.Table = t.Epoch, t.Hash()
	e.Sent = uint64(time.Now().UnixMilli())
	p.queue <- proto.Clone(e).(*messages.Envelope)
	return nil
}

// pipe is the way to one process of a peer. What is in it when the peer is given
// up comes back, except for what is on the wire.
type pipe struct {
	to    topology.Member
	queue chan *messages.Envelope
	end   chan struct{}

	mu     sync.Mutex
	asked  time.Time // since then the peer has acknowledged nothing
	proven bool      // it has acknowledged something
}

// know gives the node a list of members, and a pipe to each of them.
func (n *testNode) know(list []topology.Member) {
	var ended []*pipe
	n.mu.Lock()
	now := map[string]*pipe{}
	for _, m := range list {
		if m.ID == n.ID {
			continue
		}
		p := n.pipes[m.ID]
		if p == nil || p.to.Incarnation != m.Incarnation {
			p = &pipe{to: m, queue: make(chan *messages.Envelope, 100_000), end: make(chan struct{})}
			n.net.wg.Go(func() { n.carry(p) })
			n.net.wg.Go(func() { n.listen(p) })
		}
		now[m.ID] = p
	}
	for id, p := range n.pipes {
		if now[id] != p {
			ended = append(ended, p)
		}
	}
	n.pipes = now
	n.mu.Unlock()
	for _, p := range ended {
		close(p.end)
		for len(p.queue) > 0 {
			select {
			case e := <-p.queue:
				n.Undelivered(e.Routed)
			default:
			}
		}
	}
	n.SetMembers(list)
}

func (n *testNode) carry(p *pipe) {
	for {
		select {
		case e := <-p.queue:
			p.ask(time.Now())
			time.Sleep(n.net.latency())
			peer := n.net.meet(n, p)
			if peer == nil {
				continue
			}
			e.Sent = uint64(time.Now().UnixMilli()) - e.Sent
			peer.Receive(n.ID, e)
			if n.net.reaches(p.to.ID, n.ID) {
				p.answered()
			}
		case <-p.end:
			return
		case <-n.net.done:
			return
		}
	}
}

// meet is the process behind a pipe. Like the real one it waits a while for a
// member that does not know the sender yet; nil is a loss.
func (w *network) meet(n *testNode, p *pipe) *testNode {
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		w.mu.Lock()
		peer, cut := w.nodes[p.to.ID], w.cut[[2]string{n.ID, p.to.ID}]
		dead := w.dead[n] || peer == nil || w.dead[peer] || peer.self.Incarnation != p.to.Incarnation
		w.mu.Unlock()
		if dead {
			return nil
		}
		select {
		case <-p.end:
			return nil
		case <-w.done:
			return nil
		default:
		}
		if m, ok := peer.Table().Member(n.ID); ok && m.Incarnation == n.self.Incarnation && !cut {
			return peer
		}
	}
	return nil
}

func (w *network) latency() time.Duration {
	if w.random == nil {
		return time.Millisecond
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d := time.Duration(w.random.IntN(2000)) * time.Microsecond
	if w.random.IntN(50) == 0 {
		d += time.Duration(w.random.IntN(100)) * time.Millisecond
	}
	return d
}

// ask notes that an acknowledgement is due.
func (p *pipe) ask(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked.IsZero() {
		p.asked = now
	}
}

func (p *pipe) answered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked, p.proven = time.Time{}, true
}

// silent says whether the peer should have answered by now.
func (p *pipe) silent(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.proven && !p.asked.IsZero() && now.Sub(p.asked) >= 300*time.Millisecond
}

// listen suspects a peer as the real outbox does: one whose process has died, and
// one that does not answer, until it does.
func (n *testNode) listen(p *pipe) {
	suspected := false
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-tick.C:
		case <-p.end:
			if suspected {
				n.Suspect(p.to.ID, false)
			}
			return
		case <-n.net.done:
			return
		}
		alive, there, back := n.net.sees(n, p)
		if alive && there && back {
			p.answered() // what is in the pipe is on its way
		}
		is := !alive || suspected && !(there && back) || p.silent(time.Now())
		if is != suspected && !n.net.deaf {
			suspected = is
			n.Suspect(p.to.ID, is)
		}
	}
}

// sees says whether the process behind a pipe lives, and which ways are open.
func (w *network) sees(n *testNode, p *pipe) (alive, there, back bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	peer := w.nodes[p.to.ID]
	alive = peer != nil && !w.dead[peer] && peer.self.Incarnation == p.to.Incarnation
	return alive, !w.cut[[2]string{n.ID, p.to.ID}], !w.cut[[2]string{p.to.ID, n.ID}]
}

func (w *network) reaches(from, to string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.cut[[2]string{from, to}]
}
