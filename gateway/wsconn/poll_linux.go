package wsconn

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// pollable returns the descriptor of a plain socket. A TLS connection has
// none: its bytes must pass through the cipher.
func pollable(nc net.Conn) syscall.RawConn {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return rc
}

// attempt is one non-blocking write. It is pooled together with its bound
// method, so that a flush allocates nothing.
type attempt struct {
	b   []byte
	n   int
	err error
	try func(fd uintptr) bool
}

var attempts = sync.Pool{New: func() any {
	a := new(attempt)
	a.try = a.write
	return a
}}

// write always answers true: a full socket must not park the caller.
func (a *attempt) write(fd uintptr) bool {
	a.n, a.err = unix.Write(int(fd), a.b)
	for errors.Is(a.err, unix.EINTR) {
		a.n, a.err = unix.Write(int(fd), a.b)
	}
	if errors.Is(a.err, unix.EAGAIN) {
		a.err = nil
	}
	a.n = max(a.n, 0)
	return true
}

// writeNow writes what the kernel takes without waiting and returns how much
// that was. A full socket is not an error.
func writeNow(rc syscall.RawConn, b []byte) (int, error) {
	a := attempts.Get().(*attempt)
	defer attempts.Put(a)
	a.b, a.n, a.err = b, 0, nil
	err := rc.Write(a.try)
	if err == nil {
		err = a.err
	}
	a.b = nil
	return a.n, err
}

// receive takes in the peer's bytes until they end, the connection closes, or
// the time set by endWithin is over. While there is nothing to read the
// goroutine is parked and no buffer is held; a goroutine of the crew does the
// reading, since already taking a buffer needs more stack than a parked reader
// should keep.
func (c *Conn) receive() error {
	if c.rc == nil {
		return c.readBlocking(c.take)
	}
	err := c.rc.Read(func(fd uintptr) bool {
		return !c.cfg.crew.take(turn{c: c, ready: true, fd: fd})
	})
	if c.readErr != nil {
		return c.readErr
	}
	return err
}

func (c *Conn) readReady(fd uintptr) (done bool) {
	done, c.readErr = c.socket.readReady(fd, c.consume)
	return done
}

// read passes the peer's bytes to on, in the caller's goroutine, until on
// answers false (nil), the peer ends, or the time set by endWithin is over.
func (s *socket) read(on func(chunk []byte) bool) error {
	if s.rc == nil {
		return s.readBlocking(on)
	}
	var end error
	err := s.rc.Read(func(fd uintptr) bool {
		done, err := s.readReady(fd, on)
		end = err
		return done
	})
	if end != nil {
		return end
	}
	return err
}

// readReady reads until the socket is empty (false), or for good (true). It
// does not take a short read for an empty socket: a FIN that came together
// with the last bytes raises no second event.
func (s *socket) readReady(fd uintptr, on func(chunk []byte) bool) (bool, error) {
	buf := getBuffer(readSize)
	defer putBuffer(buf)
	for {
		n, err := unix.Read(int(fd), (*buf)[:readSize])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false, nil
		case errors.Is(err, unix.EINTR):
			continue
		case n <= 0 || err != nil:
			return true, readError(n, err)
		case !on((*buf)[:n]):
			return true, nil
		case s.overdue():
			return true, errOverdue
		}
	}
}

// readError makes the outcome of one read a plain error.
func readError(n int, err error) error {
	if err == nil && n == 0 {
		return io.EOF
	}
	return err
}
