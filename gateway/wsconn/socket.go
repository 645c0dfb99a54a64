package wsconn

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// socket is what Conn and Stream share: the outbox, its flushing, and an end
// that waits for everything the socket started.
type socket struct {
	nc           net.Conn
	rc           syscall.RawConn // nil when the descriptor cannot be polled
	limit        int
	writeTimeout time.Duration
	closeWait    time.Duration
	endBy        atomic.Int64 // monotonic instant at which reading must stop; 0: none
	sealed       atomic.Bool  // nothing may be queued any more

	mu      sync.Mutex
	ended   bool    // the socket is being closed: no more writes
	over    bool    // nothing of the connection is left
	inDrain int     // bytes in the hands of the drain goroutine
	out     *[]byte // queued bytes; nil when there are none
	failed  error   // the write error after which nothing can be sent
	done    chan struct{}
	drained chan struct{} // closed by the drain goroutine; nil when there is none
}

// sendBuffer is asked of the kernel for each connection. Left to itself the
// kernel's buffer grows to megabytes, which every slow peer would hold and
// which OutboxLimit does not see.
const sendBuffer = 64 << 10

// bare is the socket under a TLS connection, or nc itself.
func bare(nc net.Conn) net.Conn {
	if outer, ok := nc.(interface{ NetConn() net.Conn }); ok {
		return outer.NetConn()
	}
	return nc
}

func (s *socket) open(nc net.Conn, c *Config) {
	s.nc, s.rc = nc, pollable(nc)
	if tcp, ok := bare(nc).(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // a hint; the kernel's own size works too
	}
	s.limit = c.outboxLimit()
	s.writeTimeout = c.writeTimeout()
	s.closeWait = c.closeWait()
}

// Buffered is the number of bytes queued and not yet taken by the kernel.
func (s *socket) Buffered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buffered()
}

func (s *socket) buffered() int {
	n := s.inDrain
	if s.out != nil {
		n += len(*s.out)
	}
	return n
}

// RemoteAddr is the peer's address as the kernel sees it: a proxy's, when one
// stands between.
func (s *socket) RemoteAddr() net.Addr { return s.nc.RemoteAddr() }

// Done is closed when the connection has ended: its socket is closed and no
// goroutine of it runs any more.
func (s *socket) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		s.done = make(chan struct{})
		if s.over {
			close(s.done)
		}
	}
	return s.done
}

// room makes place for n more bytes in the outbox. Only what the protocol
// itself must say passes the limit (always). The caller holds mu.
func (s *socket) room(n int, always bool) error {
	switch {
	case s.sealed.Load() || s.ended || s.failed != nil:
		return ErrClosed
	case !always && s.buffered()+n > s.limit:
		return ErrSlow
	case s.out == nil:
		s.out = getBuffer(n)
	case cap(*s.out)-len(*s.out) < n:
		larger := getBuffer(len(*s.out) + n)
		*larger = append(*larger, *s.out...)
		putBuffer(s.out)
		s.out = larger
	}
	return nil
}

// Flush writes everything queued with one non-blocking write. What the kernel
// does not take is written by a goroutine that ends when the outbox is empty;
// while it runs, Flush has nothing to do.
func (s *socket) Flush() { s.flush() }

func (s *socket) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out == nil || s.drained != nil || s.ended {
		return
	}
	n := 0
	if s.rc != nil {
		var err error
		if n, err = writeNow(s.rc, *s.out); err != nil {
			s.fail(err)
			return
		}
	}
	if n == len(*s.out) {
		putBuffer(s.out)
		s.out = nil
		return
	}
	*s.out = (*s.out)[:copy(*s.out, (*s.out)[n:])]
	s.drained = make(chan struct{})
	go s.drain()
}

// drainPiece is how much a slow peer must take within WriteTimeout.
const drainPiece = 16 << 10

// drain writes the outbox with blocking writes until it is empty.
func (s *socket) drain() {
	for b := s.take(); b != nil; b = s.take() {
		for rest := *b; len(rest) > 0; {
			piece := rest[:min(len(rest), drainPiece)]
			s.armWrite()
			if _, err := s.nc.Write(piece); err != nil {
				s.mu.Lock()
				s.fail(err)
				s.mu.Unlock()
				break
			}
			rest = rest[len(piece):]
			s.mu.Lock()
			s.inDrain -= len(piece)
			s.mu.Unlock()
		}
		putBuffer(b)
	}
}

// take hands the queued bytes to the drain goroutine, or ends its work.
func (s *socket) take() *[]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.out
	s.out, s.inDrain = nil, 0
	if b == nil {
		close(s.drained)
		s.drained = nil
		if s.failed == nil {
			_ = s.nc.SetWriteDeadline(time.Time{}) // fails only on a closed socket
		}
		return nil
	}
	s.inDrain = len(*b)
	return b
}

// armWrite sets the deadline of the next blocking write. It holds mu so that
// it cannot undo the shorter deadline of a socket that begins to close.
func (s *socket) armWrite() {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := s.writeTimeout
	if by := s.endBy.Load(); by != 0 {
		wait = min(wait, time.Duration(by-monotonic()))
	}
	_ = s.nc.SetWriteDeadline(time.Now().Add(wait)) // the write reports a closed socket
}

// endWithin bounds reading and writing from now on. The caller holds mu.
func (s *socket) endWithin(d time.Duration) {
	s.endBy.Store(monotonic() + int64(d))
	at := time.Now().Add(d)
	_ = s.nc.SetReadDeadline(at) // fails only on a closed socket, which needs none
	if s.drained != nil {
		_ = s.nc.SetWriteDeadline(at)
	}
}

// fail gives up writing. A peer that reset the connection may have sent
// something before: the reader has closeWait to take it. The caller holds mu.
func (s *socket) fail(err error) {
	if s.failed != nil {
		return
	}
	s.failed = err
	if s.out != nil {
		putBuffer(s.out)
		s.out = nil
	}
	s.inDrain = 0
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		s.endWithin(s.closeWait)
		return
	}
	s.failed = ErrWriteTimeout
	if tcp, ok := bare(s.nc).(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // the kernel need not keep what this peer does not read
	}
	s.endWithin(0)
}

// overdue reports that reading must stop, for a peer that sends so much that
// the reader never waits and so never meets its deadline.
func (s *socket) overdue() bool {
	by := s.endBy.Load()
	return by != 0 && monotonic() >= by
}

// linger lets the peer receive what was sent: closing a socket with unread
// input would reset the connection and destroy it. It returns when the peer
// has closed its side or the time set by endWithin is over.
func (s *socket) linger() {
	s.flush() // whoever queued the last bytes may not have come to it
	s.awaitDrain()
	s.mu.Lock()
	failed := s.failed
	s.mu.Unlock()
	if failed != nil {
		return
	}
	half, ok := s.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = s.read(func([]byte) bool { return true }) // any end will do
}

func (s *socket) awaitDrain() {
	s.mu.Lock()
	drained := s.drained
	s.mu.Unlock()
	if drained != nil {
		<-drained
	}
}

// end closes the socket and waits for the drain goroutine.
func (s *socket) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	_ = bare(s.nc).Close() // TLS's own Close could wait 5 s; linger has said goodbye where it can be heard
	s.awaitDrain()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out != nil {
		putBuffer(s.out)
		s.out = nil
	}
	s.over = true
	if s.done != nil {
		close(s.done)
	}
}

// errOverdue ends the reading of a peer that does not stop sending after the
// close frame.
var errOverdue = fmt.Errorf("wsconn: peer did not end in time: %w", os.ErrDeadlineExceeded)

// smallRead is the buffer of a reader that cannot be parked without one.
const smallRead = 512

// readBlocking is read for connections whose descriptor cannot be polled.
func (s *socket) readBlocking(on func(chunk []byte) bool) error {
	buf := make([]byte, smallRead)
	for !s.overdue() {
		n, err := s.nc.Read(buf)
		if n > 0 && !on(buf[:n]) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errOverdue
}

var started = time.Now()

// monotonic is nanoseconds on a clock that no adjustment of the wall clock
// moves.
func monotonic() int64 { return int64(time.Since(started)) }
