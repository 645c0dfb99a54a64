package wsconn

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// Conn is one WebSocket connection, server side. Its methods may be called by
// any goroutine at any time, also from within the callback and after the end;
// none of them but Serve waits for the peer.
type Conn struct {
	socket
	heard       atomic.Int64 // monotonic instant of the last whole frame
	dec         decoder
	cfg         *Config
	onMessage   func(op Op, payload []byte) error
	subprotocol string
	why         *CloseError // set once, under mu
	served      bool        // under mu
	ponged      bool        // touched by consume only
	readErr     error       // of the turn that ended the reading
}

// Serve reads until the connection ends, calls onMessage for every whole
// message, one at a time and in order, and answers pings and the close
// handshake by itself. It waits in the caller's goroutine: call it in a fresh
// one and let the HTTP handler return, so that net/http's goroutine and
// buffers are released. It returns a *CloseError, never nil, after the last
// callback, when the socket is closed and the drain goroutine has ended. A
// second call only waits for the end. The callback must not wait for Done.
//
// payload is only valid during the call. An error from onMessage closes the
// connection: with its code if it is a *CloseError, else with 1011. A panic is
// recovered, counted (Config.Panics), logged without its value, and closes
// with 1011. After Close no more messages are handed over.
func (c *Conn) Serve(onMessage func(op Op, payload []byte) error) error {
	if c.claim() {
		c.run(onMessage)
	} else {
		<-c.Done()
	}
	return c.why
}

// claim reports true to the one caller that shall read.
func (c *Conn) claim() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.served
	c.served = true
	return first
}

func (c *Conn) run(onMessage func(op Op, payload []byte) error) {
	defer c.end()
	c.cfg.crew.join()
	defer c.cfg.crew.leave()
	c.onMessage = onMessage
	var err error
	if len(c.dec.tail) == 0 || c.take(nil) { // frames that came with the handshake
		err = c.receive()
	}
	if err == nil {
		c.linger()
	}
	c.settle(err)
}

// take is consume on a goroutine of the crew.
func (c *Conn) take(chunk []byte) bool { return c.cfg.crew.take(turn{c: c, chunk: chunk}) }

// consume feeds the decoder and answers false when there is nothing more to
// read.
func (c *Conn) consume(chunk []byte) bool {
	frames, err := c.dec.feed(chunk, c)
	if frames > 0 { // a fragment reaches neither message nor control
		c.heard.Store(monotonic())
	}
	if c.ponged {
		c.ponged = false
		c.flush()
	}
	if err == nil {
		return true
	}
	c.beginClose(closing(err))
	return false
}

// closing is what to close with after err.
func closing(err error) *CloseError {
	var own *CloseError
	switch {
	case !errors.As(err, &own):
		return &CloseError{Code: CodeInternal, Reason: "internal error", Cause: err}
	case own == nil: // a nil pointer in an error: the callback's mistake
		return &CloseError{Code: CodeInternal, Reason: "internal error"}
	case error(own) == err: //nolint:errorlint // is it the error itself, not one wrapped in it
		return own
	}
	return &CloseError{Code: own.Code, Reason: own.Reason, Cause: err}
}

// message calls back; it is the boundary at which a panic ends.
func (c *Conn) message(op Op, payload []byte) (err error) {
	c.heard.Store(monotonic())
	if c.sealed.Load() {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			c.cfg.panics.Add(1)
			logPanic(v)
			err = ErrPanic
		}
	}()
	return c.onMessage(op, payload)
}

// logPanic leaves out the value, which may be what a user wrote, unless it is
// the runtime's own text.
func logPanic(v any) {
	what := fmt.Sprintf("%T", v)
	if bug, ok := v.(runtime.Error); ok {
		what = bug.Error()
	}
	slog.Error("wsconn: callback panicked, connection closed", "panic", what, "stack", string(debug.Stack()))
}

func (c *Conn) control(op ws.OpCode, payload []byte) error {
	c.heard.Store(monotonic())
	switch op {
	case ws.OpPing:
		if c.queue(ws.OpPong, payload) == nil { // a peer that reads no pongs loses them
			c.ponged = true
		}
	case ws.OpClose:
		return closeOf(payload)
	}
	return nil
}

// Queue frames payload and copies it behind what is queued already; the caller
// may reuse payload at once. It never writes. It returns ErrSlow when
// OutboxLimit would be exceeded and ErrClosed when the connection ends.
func (c *Conn) Queue(op Op, payload []byte) error {
	return c.queue(ws.OpCode(op), payload)
}

func (c *Conn) queue(op ws.OpCode, payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.room(len(payload)+maxHeader, false); err != nil {
		return err
	}
	*c.out = appendFrame(*c.out, op, payload)
	return nil
}

// Send is Queue and Flush.
func (c *Conn) Send(op Op, payload []byte) error {
	if err := c.Queue(op, payload); err != nil {
		return err
	}
	c.flush()
	return nil
}

// Ping sends an empty ping. It is left out when the outbox is full: the peer
// has enough to answer to.
func (c *Conn) Ping() {
	if c.queue(ws.OpPing, nil) == nil {
		c.flush()
	}
}

// LastHeard is when the last whole frame of any kind came in, at first the
// time of the handshake. It carries a monotonic reading, so that differences
// are right across clock changes.
func (c *Conn) LastHeard() time.Time {
	return started.Add(time.Duration(c.heard.Load()))
}

// Subprotocol is the agreed subprotocol, empty when none was.
func (c *Conn) Subprotocol() string { return c.subprotocol }
