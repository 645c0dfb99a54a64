package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protowire"
)

// stage is how far a client has come.
type stage uint8

const (
	opening  stage = iota // waits for the answer to its handshake
	greeted               // waits for the welcome
	watching              // waits for the answer to its watch and for the snapshots
	ready
	closed
)

// client is one connection of the crowd. It is touched by the crowd's loop alone.
type client struct {
	crowd    *crowd
	fd       int
	number   int // of its user, and in the crowd
	stage    stage
	rest     []byte // of a frame that has not arrived whole
	greeting greeting
	list     []int          // whom it watches
	expects  int            // snapshots to come
	target   netip.AddrPort // of this client; not set: the crowd's

	session   string
	resumed   bool
	seq       uint64 // newest batch
	acked     uint64
	lastAck   int64 // unix ns
	ackQueued bool
}

// Acknowledgements: at once when half of the window of four batches is used,
// but no more often than the node lets pass for free (20 a second); otherwise
// within a second.
const (
	ackAtOnce  = 2
	ackSpacing = int64(55 * time.Millisecond)
	ackLatest  = int64(750 * time.Millisecond)
)

func (c *client) write(b []byte) error {
	n, err := unix.Write(c.fd, b)
	if err != nil || n != len(b) {
		return fmt.Errorf("client %d: wrote %d of %d bytes: %w", c.number, n, len(b), err)
	}
	return nil
}

func (c *client) send(payload []byte) error {
	c.crowd.out = appendFrame(c.crowd.out[:0], finalBinary, payload)
	return c.write(c.crowd.out)
}

// readable takes what has arrived.
func (c *client) readable(now int64) error {
	buf := c.crowd.in
	n, err := unix.Read(c.fd, buf[copy(buf, c.rest):])
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("client %d: read: %w", c.number, err)
	case n == 0:
		return fmt.Errorf("client %d: the server closed the connection", c.number)
	}
	got := buf[:len(c.rest)+n]
	c.crowd.reads++
	if c.crowd.http {
		return c.onResponse(got, now)
	}
	if c.stage == opening {
		if got, err = c.opened(got); err != nil {
			return err
		}
	}
	for {
		opcode, payload, rest, ok := cutFrame(got)
		if !ok {
			c.rest = append(c.rest[:0], rest...)
			return nil
		}
		if err := c.onFrame(opcode, payload, now); err != nil {
			return fmt.Errorf("client %d: %w", c.number, err)
		}
		got = rest
	}
}

// opened takes the answer to the handshake, whole or in part.
func (c *client) opened(got []byte) ([]byte, error) {
	end := bytes.Index(got, []byte("\r\n\r\n"))
	if end < 0 {
		return got, nil
	}
	if !bytes.HasPrefix(got, []byte("HTTP/1.1 101 ")) {
		return nil, fmt.Errorf("client %d: handshake: %.200s", c.number, got)
	}
	c.stage = greeted
	return got[end+4:], c.send(c.greeting.frame())
}

func (c *client) onFrame(opcode byte, payload []byte, now int64) error {
	switch opcode {
	case finalBinary:
		return c.onMessage(payload, now)
	case finalPing:
		return c.write(appendFrame(nil, finalPong, payload))
	case finalClose:
		return fmt.Errorf("closed by the server: %q", payload)
	}
	return errBroken
}

func (c *client) onMessage(m []byte, now int64) error {
	var id uint64
	var failed error
	var kind protowire.Number
	var body []byte
	err := fields(m, func(field protowire.Number, number uint64, text []byte) {
		if field == fieldID {
			id = number
			return
		}
		kind, body = field, text
	})
	if err != nil {
		return err
	}
	switch kind {
	case fieldBatch:
		failed = c.onBatch(body, now)
	case fieldDone:
		failed = c.onDone(id, now)
	case fieldWelcome:
		failed = c.onWelcome(body)
	case fieldError:
		if c.crowd.onRefused != nil && c.stage == ready {
			c.crowd.onRefused(c, now)
			return nil
		}
		failed = fmt.Errorf("refused: %q", body)
	}
	return failed
}

func (c *client) onWelcome(body []byte) error {
	c.resumed = false
	err := fields(body, func(field protowire.Number, number uint64, text []byte) {
		switch field {
		case welcomeSession:
			c.session = string(text)
		case welcomeResumed:
			c.resumed = number != 0
		}
	})
	if err != nil {
		return err
	}
	if !c.resumed {
		c.seq, c.acked = 0, 0
	}
	if c.resumed || len(c.list) == 0 {
		c.crowd.arrived(c)
		return nil
	}
	c.stage, c.expects = watching, len(c.list)
	return c.send(watchFrame(1, c.list))
}

func (c *client) onDone(id uint64, now int64) error {
	if c.stage == watching {
		return nil // the snapshots follow
	}
	c.crowd.answered(c, now)
	return nil
}

// onBatch takes a batch once: one sent again is known by its number.
func (c *client) onBatch(body []byte, now int64) error {
	var bad error
	again := false
	err := fields(body, func(field protowire.Number, number uint64, text []byte) {
		switch {
		case field == batchSeq:
			again = !c.crowd.plain && number <= c.seq
			c.seq = max(c.seq, number)
		case field == batchItems && !again && bad == nil:
			bad = c.onItem(text, now)
		}
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return err
	}
	if again {
		c.crowd.again++
	}
	return c.crowd.acknowledge(c, now)
}

func (c *client) onItem(item []byte, now int64) error {
	// The user is the first field of an item.
	_, _, n := protowire.ConsumeTag(item)
	if n < 0 {
		return errBroken
	}
	mri, n := protowire.ConsumeBytes(item[n:])
	if n < 0 {
		return errBroken
	}
	user, err := userNumber(mri)
	if err != nil {
		return err
	}
	if c.stage == watching {
		if c.expects--; c.expects == 0 {
			c.crowd.arrived(c)
		}
		return nil
	}
	c.crowd.delivered(user, now)
	return nil
}
