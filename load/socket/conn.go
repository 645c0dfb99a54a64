package socket

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	opContinue = 0x0
	opBinary   = 0x2
	opClose    = 0x8
	opPing     = 0x9
	opPong     = 0xa
	final      = 0x80
	masked     = 0x80

	// maxFrame is far above what a node sends, in bytes.
	maxFrame = 1 << 20
	// writeTime bounds a write: a peer that takes nothing for so long is gone.
	writeTime = 10 * time.Second
)

// Errors of a connection whose other side breaks the rules.
var (
	ErrFrame = errors.New("socket: the other side's bytes are no frame for a client")
	ErrLarge = errors.New("socket: a frame of more than 1 MiB")
)

// Closed is the other side's close frame.
type Closed struct {
	Code int // 1005: the frame had none
	Text string
}

func (e *Closed) Error() string { return fmt.Sprintf("closed by the node: %d %s", e.Code, e.Text) }

// Conn is one connection.
type Conn struct {
	raw      net.Conn
	r        *bufio.Reader
	skip     int    // bytes of the last frame, still in r
	large    []byte // of the last frame, where it did not fit into r
	received atomic.Int64

	mu  sync.Mutex // held while writing
	out []byte
}

// larges are the buffers of frames that do not fit into a connection's own.
var larges = sync.Pool{New: func() any { return new([]byte) }}

// Read gives the next message. It answers pings by itself. After an error the
// connection is of no use; Close it.
func (c *Conn) Read() ([]byte, error) {
	c.release()
	for {
		op, payload, err := c.frame()
		if err != nil {
			return nil, err
		}
		switch op {
		case opBinary:
			return payload, nil
		case opPing:
			if err := c.write(opPong, payload); err != nil {
				return nil, err
			}
		case opClose:
			return nil, closed(payload)
		}
		c.release()
	}
}

// Received is how many bytes of frames have come so far.
func (c *Conn) Received() int64 { return c.received.Load() }

func (c *Conn) release() {
	if c.skip > 0 {
		_, _ = c.r.Discard(c.skip) // they were peeked at
		c.skip = 0
	}
	if c.large != nil {
		b := c.large
		c.large = nil
		larges.Put(&b)
	}
}

// frame reads one whole frame. A node sends no fragments.
func (c *Conn) frame() (op byte, payload []byte, err error) {
	head, err := c.r.Peek(2)
	if err != nil {
		return 0, nil, err
	}
	first, n, size := head[0], int(head[1]), 2
	switch {
	case n&masked != 0 || first&0x70 != 0:
		return 0, nil, ErrFrame
	case n == 126:
		size = 4
	case n == 127:
		size = 10
	}
	if size > 2 {
		if head, err = c.r.Peek(size); err != nil {
			return 0, nil, err
		}
		n = extended(head[2:])
	}
	op = first & 0x0f
	if n > maxFrame {
		return 0, nil, ErrLarge
	}
	if first&final == 0 || op != opBinary && op != opPing && op != opPong && op != opClose || op >= opClose && n > 125 {
		return 0, nil, ErrFrame
	}
	_, _ = c.r.Discard(size) // they were peeked at
	c.received.Add(int64(size + n))
	payload, err = c.take(n)
	return op, payload, err
}

// extended is a length of 2 or 8 bytes; what does not fit is above every limit.
func extended(b []byte) int {
	if len(b) == 2 {
		return int(binary.BigEndian.Uint16(b))
	}
	return int(min(binary.BigEndian.Uint64(b), maxFrame+1))
}

func (c *Conn) take(n int) ([]byte, error) {
	if n <= c.r.Size() {
		b, err := c.r.Peek(n)
		c.skip = len(b)
		return b, err
	}
	b := *larges.Get().(*[]byte)
	if cap(b) < n {
		b = make([]byte, n)
	}
	c.large = b[:n]
	_, err := io.ReadFull(c.r, c.large)
	return c.large, err
}

func closed(payload []byte) error {
	if len(payload) < 2 {
		return &Closed{Code: 1005}
	}
	return &Closed{Code: int(binary.BigEndian.Uint16(payload)), Text: string(payload[2:])}
}

// Send writes a message. The bytes are the caller's again afterwards.
func (c *Conn) Send(message []byte) error { return c.write(opBinary, message) }

func (c *Conn) write(op byte, payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = appendFrame(c.out[:0], op, payload)
	if err := c.raw.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := c.raw.Write(c.out)
	if cap(c.out) > readBuffer {
		c.out = nil // a hello or a long list; acknowledgements are small
	}
	return err
}

// appendFrame masks payload into a client's frame.
func appendFrame(b []byte, op byte, payload []byte) []byte {
	b = append(b, final|op)
	switch n := len(payload); {
	case n < 126:
		b = append(b, masked|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), uint64(n))
	}
	var key [4]byte
	binary.NativeEndian.PutUint32(key[:], rand.Uint32())
	b = append(b, key[:]...)
	for i, x := range payload {
		b = append(b, x^key[i&3])
	}
	return b
}

// Leave says goodbye with a close frame and closes, without waiting for an
// answer.
func (c *Conn) Leave() error {
	err := c.write(opClose, []byte{1000 >> 8, 1000 & 0xff})
	return errors.Join(err, c.Close())
}

// Close ends the connection without a word. A Read under way returns.
func (c *Conn) Close() error { return c.raw.Close() }
