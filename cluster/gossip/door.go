package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	maxStreams     = 128     // open at once, from everywhere
	maxHostStreams = 16      // open at once, from one address
	maxStreamBytes = 4 << 20 // read from one stream; a thousand members are below 1 MiB
)

var (
	errDoorClosed = errors.New("gossip: closed")
	errTooLong    = fmt.Errorf("gossip: the other side sent more than %d bytes", maxStreamBytes)
)

// door bounds what memberlist reads, which allows anyone 20 MiB on any number of
// streams, and ends its streams when it is shut down.
type door struct {
	memberlist.Transport
	refuse  func(from, reason, why string)
	from    netip.Addr // of outgoing streams; zero for transports of tests
	streams chan net.Conn
	ctx     context.Context
	stop    context.CancelFunc
	pumping sync.WaitGroup

	mu    sync.Mutex
	open  map[*stream]struct{}
	hosts map[string]int // streams that came in
}

type stream struct {
	net.Conn
	door *door
	host string // it came from; empty for our own
	left int64
	said atomic.Bool // something
}

// newDoor owns the transport from here on.
func newDoor(t memberlist.Transport, from netip.Addr, refuse func(from, reason, why string)) *door {
	d := &door{
		Transport: t, from: from, refuse: refuse, streams: make(chan net.Conn),
		open: map[*stream]struct{}{}, hosts: map[string]int{},
	}
	d.ctx, d.stop = context.WithCancel(context.Background())
	d.pumping.Go(d.pump)
	return d
}

// openPort listens on UDP and TCP. With port 0 it takes one that is free for both.
func openPort(at netip.AddrPort, logs *logs) (*memberlist.NetTransport, error) {
	c := &memberlist.NetTransportConfig{
		BindAddrs: []string{at.Addr().String()}, BindPort: int(at.Port()), Logger: logs.logger(),
	}
	var err error
	for range 10 {
		var t *memberlist.NetTransport
		if t, err = memberlist.NewNetTransport(c); err == nil {
			return t, nil
		}
		if at.Port() != 0 {
			break
		}
	}
	return nil, fmt.Errorf("gossip: open the port for members, UDP and TCP: %w", err)
}

func (d *door) pump() {
	for {
		select {
		case c := <-d.Transport.StreamCh():
			s, why := d.admit(c, host(c.RemoteAddr()))
			if s == nil {
				d.refuse(host(c.RemoteAddr()), reasonStreams, why)
				_ = c.Close()
				continue
			}
			select {
			case d.streams <- s:
			case <-d.ctx.Done():
				_ = s.Close()
			}
		case <-d.ctx.Done():
			return
		}
	}
}

func (d *door) admit(c net.Conn, from string) (s *stream, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.ctx.Err() != nil:
		return nil, "closed"
	case from != "" && len(d.open) >= maxStreams:
		return nil, "too many connections are open"
	case from != "" && d.hosts[from] >= maxHostStreams:
		return nil, "too many connections from there are open"
	}
	if from != "" {
		d.hosts[from]++
	}
	s = &stream{Conn: c, door: d, host: from, left: maxStreamBytes}
	d.open[s] = struct{}{}
	return s, ""
}

// StreamCh is part of memberlist.Transport.
func (d *door) StreamCh() <-chan net.Conn { return d.streams }

// DialTimeout is part of memberlist.Transport.
func (d *door) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	c, err := d.dial(addr, timeout)
	if err != nil {
		return nil, err
	}
	s, _ := d.admit(c, "")
	if s == nil {
		_ = c.Close()
		return nil, errDoorClosed
	}
	return s, nil
}

func (d *door) dial(addr string, timeout time.Duration) (net.Conn, error) {
	if !d.from.IsValid() {
		return d.Transport.DialTimeout(addr, timeout)
	}
	dialer := net.Dialer{Timeout: timeout, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(d.from, 0))}
	return dialer.DialContext(d.ctx, "tcp", addr)
}

// Shutdown is part of memberlist.Transport: it closes the port and every stream.
func (d *door) Shutdown() error {
	err := d.Transport.Shutdown() // the pump must go on until it has ended
	d.stop()
	d.pumping.Wait()
	d.mu.Lock()
	open := make([]*stream, 0, len(d.open))
	for s := range d.open {
		open = append(open, s)
	}
	d.mu.Unlock()
	for _, s := range open {
		_ = s.Close()
	}
	return err
}

// Read is part of net.Conn. One goroutine reads a stream.
func (s *stream) Read(b []byte) (int, error) {
	if s.left <= 0 {
		return 0, errTooLong
	}
	n, err := s.Conn.Read(b[:min(int64(len(b)), s.left)])
	s.left -= int64(n)
	if n > 0 {
		s.said.Store(true)
	}
	return n, err
}

// Close is part of net.Conn.
func (s *stream) Close() error {
	s.door.mu.Lock()
	if _, ok := s.door.open[s]; ok {
		delete(s.door.open, s)
		if s.host != "" {
			if s.door.hosts[s.host]--; s.door.hosts[s.host] == 0 {
				delete(s.door.hosts, s.host)
			}
		}
	}
	s.door.mu.Unlock()
	err := s.Conn.Close()
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}

// silent says whether a stream that came from an address has said nothing.
func (d *door) silent(addr string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for s := range d.open {
		if s.host != "" && s.RemoteAddr().String() == addr {
			return !s.said.Load()
		}
	}
	return false
}

// host is the part of an address that stays the same from stream to stream.
func host(a net.Addr) string {
	if a == nil {
		return "unknown"
	}
	return hostOf(a.String())
}

func hostOf(addr string) string {
	if h, _, err := net.SplitHostPort(addr); err == nil {
		return h
	}
	return strings.TrimSpace(addr)
}
