package gossip

import (
	"errors"
	"hash/fnv"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// wires join transports in memory. What is lost and how long the rest takes
// follows from the seed, the two ends and the number of the packet.
type wires struct {
	seed  uint64
	loss  float64       // of packets, each way
	delay time.Duration // the most that a packet takes

	mu    sync.Mutex
	ports map[string]*port
	cut   map[[2]string]bool // from, to
	sent  map[[2]string]uint64
}

func newWires(seed uint64) *wires {
	return &wires{seed: seed, ports: map[string]*port{}, cut: map[[2]string]bool{}, sent: map[[2]string]uint64{}}
}

// port is the transport of one member.
type port struct {
	wires   *wires
	addr    *net.TCPAddr
	packets chan *memberlist.Packet
	streams chan net.Conn
}

func (w *wires) plug(number int) *port {
	p := &port{
		wires: w, addr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(number+1)), Port: 7946},
		packets: make(chan *memberlist.Packet, 256), streams: make(chan net.Conn, 16),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ports[p.addr.String()] = p
	return p
}

// pull takes a port off the wires for good.
func (w *wires) pull(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.ports, addr)
}

// split cuts the ways between two groups, or only from the first to the second,
// or joins them again.
func (w *wires) split(a, b []string, oneWay, whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range a {
		for _, y := range b {
			w.cut[[2]string{x, y}] = !whole
			if !oneWay {
				w.cut[[2]string{y, x}] = !whole
			}
		}
	}
}

// lossy sets the share of packets that are lost.
func (w *wires) lossy(share float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loss = share
}

// way finds the port at the end of a way that is open, and rolls the dice of the
// next packet on it.
func (w *wires) way(from, to string) (p *port, roll float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	way := [2]string{from, to}
	p = w.ports[to]
	if p == nil || w.ports[from] == nil || w.cut[way] {
		return nil, 0
	}
	w.sent[way]++
	h := fnv.New64a()
	for _, n := range []uint64{w.seed, w.sent[way]} {
		for i := range 8 {
			_, _ = h.Write([]byte{byte(n >> (8 * i))})
		}
	}
	_, _ = h.Write([]byte(from + ">" + to))
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return p, float64(x>>11) / (1 << 53)
}

func (p *port) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return p.addr.IP, p.addr.Port, nil
}

func (p *port) WriteTo(b []byte, addr string) (time.Time, error) {
	now := time.Now()
	to, roll := p.wires.way(p.addr.String(), addr)
	p.wires.mu.Lock()
	loss, delay := p.wires.loss, p.wires.delay
	p.wires.mu.Unlock()
	if to == nil || roll < loss {
		return now, nil
	}
	packet := &memberlist.Packet{Buf: append([]byte(nil), b...), From: p.addr}
	time.AfterFunc(time.Duration(float64(delay)*(roll-loss)/(1-loss)), func() {
		packet.Timestamp = time.Now()
		select {
		case to.packets <- packet:
		default: // a full buffer drops, as UDP does
		}
	})
	return now, nil
}

func (p *port) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	to, _ := p.wires.way(p.addr.String(), addr)
	back, _ := p.wires.way(addr, p.addr.String())
	if to == nil || back == nil {
		time.Sleep(timeout) // no answer, and no refusal either
		return nil, errors.New("timeout")
	}
	near, far := net.Pipe()
	select {
	case to.streams <- pipeEnd{far, p.addr}:
		return pipeEnd{near, to.addr}, nil
	default:
		return nil, errors.New("refused")
	}
}

type pipeEnd struct {
	net.Conn
	remote net.Addr
}

func (e pipeEnd) RemoteAddr() net.Addr { return e.remote }

func (p *port) PacketCh() <-chan *memberlist.Packet { return p.packets }
func (p *port) StreamCh() <-chan net.Conn           { return p.streams }
func (p *port) Shutdown() error                     { p.wires.pull(p.addr.String()); return nil }
