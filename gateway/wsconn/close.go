package wsconn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Close codes of RFC 6455 section 7.4.1 that this package sends or reports.
// CodeNoStatus and CodeAbnormal never appear on the wire: the first stands for
// a close frame without a code, the second for a connection that ended without
// a close frame.
const (
	CodeNormal        uint16 = 1000
	CodeGoingAway     uint16 = 1001
	CodeProtocolError uint16 = 1002
	CodeNoStatus      uint16 = 1005
	CodeAbnormal      uint16 = 1006
	CodeInvalidData   uint16 = 1007
	CodePolicy        uint16 = 1008
	CodeTooBig        uint16 = 1009
	CodeInternal      uint16 = 1011
)

var (
	// ErrSlow says that the peer reads too slowly: what was to be queued would
	// exceed OutboxLimit and was not queued. The connection still works.
	ErrSlow = errors.New("wsconn: outbox is full, the peer reads too slowly")
	// ErrClosed says that the connection is closing or closed and nothing more
	// can be queued.
	ErrClosed = errors.New("wsconn: connection is closed")
	// ErrWriteTimeout is the cause of an end by WriteTimeout: the peer took
	// nothing from a socket that was full.
	ErrWriteTimeout = errors.New("wsconn: peer read nothing within the write timeout")
	// ErrPanic is the cause of an end by a callback that panicked.
	ErrPanic = errors.New("wsconn: callback panicked")
)

// CloseError says why a connection ended. The first reason wins: a Close of
// ours that the peer answers keeps our code.
type CloseError struct {
	Code   uint16
	Reason string
	ByPeer bool  // the peer sent the first close frame
	Cause  error // what lies behind an abnormal end or a failed callback; may be nil
}

func (e *CloseError) Error() string {
	who := "server"
	if e.ByPeer {
		who = "peer"
	}
	text := fmt.Sprintf("wsconn: closed by %s with code %d", who, e.Code)
	if e.Code == CodeAbnormal {
		text = "wsconn: ended without a close frame"
	}
	if e.Reason != "" {
		text += fmt.Sprintf(" (%q)", e.Reason)
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap gives the cause, so that errors.Is finds ErrWriteTimeout, ErrPanic,
// io.EOF or the callback's own error.
func (e *CloseError) Unwrap() error { return e.Cause }

func violation(code uint16, reason string) *CloseError {
	return &CloseError{Code: code, Reason: reason}
}

// sendable reports whether a close frame may carry code: the codes of RFC 6455
// and those registered since (1012 to 1014), and the ranges for libraries and
// applications.
func sendable(code uint16) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code >= 1007 && code <= 1014:
		return true
	}
	return code >= 1000 && code <= 1003
}

// maxReason is what a control frame leaves beside the code.
const maxReason = ws.MaxControlFramePayloadSize - 2

// closeBody is the body of the close frame for e. The peer's own code is
// returned to it without the reason.
func closeBody(e *CloseError) []byte {
	if !sendable(e.Code) {
		return nil
	}
	body := binary.BigEndian.AppendUint16(nil, e.Code)
	if e.ByPeer {
		return body
	}
	reason := strings.ToValidUTF8(e.Reason, "")
	if len(reason) > maxReason {
		cut := maxReason
		for !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut]
	}
	return append(body, reason...)
}

// Close begins the close handshake and returns at once. The close frame goes
// out behind what is already queued; the peer has 2 s to answer, then the TCP
// connection is closed. Only the first call counts; later calls and calls
// after the peer's own close do nothing. A code that must not be sent, such as
// 1005, gives a close frame without a code; the reason is cut at 123 bytes.
//
// A connection that was never served is closed the same way.
func (c *Conn) Close(code uint16, reason string) {
	c.beginClose(&CloseError{Code: code, Reason: reason})
	if c.claim() {
		go c.run(func(Op, []byte) error { return nil })
	}
}

// beginClose queues and flushes the close frame unless one was queued before,
// and gives the peer until closeWait to end the connection.
func (c *Conn) beginClose(why *CloseError) {
	if !c.sayClose(why) {
		return
	}
	c.flush()
}

func (c *Conn) sayClose(why *CloseError) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != nil {
		return false
	}
	c.why = why
	body := closeBody(why)
	if c.room(len(body)+maxHeader, true) == nil {
		*c.out = appendFrame(*c.out, ws.OpClose, body)
	}
	c.sealed.Store(true)
	c.endWithin(c.closeWait)
	return true
}

// settle records why the reading ended when no close frame says so.
func (c *Conn) settle(readErr error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != nil {
		return
	}
	cause := readErr
	if c.failed != nil {
		cause = c.failed
	}
	c.why = &CloseError{Code: CodeAbnormal, Cause: cause}
}

// defaultCloseWait is how long the peer may take to answer a close frame.
const defaultCloseWait = 2 * time.Second
