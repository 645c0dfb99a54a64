package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// crowd is the clients of a run, driven by one loop over epoll: a goroutine per
// client would cost the load more than the node.
type crowd struct {
	clients []*client
	target  netip.AddrPort
	plain   bool // the floor: no handshake, no acknowledgement
	http    bool // plain requests instead of a socket
	poll    int
	events  [512]unix.EpollEvent
	in, out []byte
	soon    fifo // acknowledgements that wait for their spacing
	lazy    fifo // those that wait for more to acknowledge

	readyCount int
	reads      int64 // calls that brought something
	again      int64 // batches that came twice
	acks       int64

	onReady     func(c *client)
	onAnswer    func(c *client, now int64)
	onDelivered func(user int, now int64)
	onRefused   func(c *client, now int64) // nil: a refusal ends the run
}

// fifo holds clients in the order of a moment that is the same time ahead for all.
type fifo struct {
	waiting []due
	head    int
}

type due struct {
	c  *client
	at int64
}

func (f *fifo) push(d due) { f.waiting = append(f.waiting, d) }

// pop gives what is due; otherwise when the next is, 0 for never.
func (f *fifo) pop(now int64) (*client, int64) {
	if f.head == len(f.waiting) {
		f.waiting, f.head = f.waiting[:0], 0
		return nil, 0
	}
	if d := f.waiting[f.head]; d.at <= now {
		f.head++
		return d.c, 0
	}
	return nil, f.waiting[f.head].at
}

func newCrowd(b *testing.B, target string) *crowd {
	b.Helper()
	to, err := netip.ParseAddrPort(target)
	if err != nil {
		b.Fatal(err)
	}
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		b.Fatal(err)
	}
	k := &crowd{target: to, poll: poll, in: make([]byte, 1<<20)}
	b.Cleanup(func() {
		k.hang()
		_ = unix.Close(poll) // nothing is left to lose
	})
	return k
}

// perAddress is how many clients share a source address: a port each.
const perAddress = 10_000

// open connects a client and starts its handshake.
func (k *crowd) open(c *client) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c.crowd, c.fd, c.stage, c.rest = k, fd, opening, nil
	c.greeting.session, c.greeting.ack = c.session, c.seq // empty the first time
	from := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + c.number/perAddress)}}
	target := k.target
	if c.target.IsValid() {
		target = c.target
	}
	to := &unix.SockaddrInet4{Port: int(target.Port()), Addr: target.Addr().As4()}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.Bind(fd, from), unix.Connect(fd, to), unix.SetNonblock(fd, true),
		unix.EpollCtl(k.poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.number)}),
	)
	if err != nil {
		return fmt.Errorf("client %d: %w", c.number, err)
	}
	if k.http {
		k.arrived(c)
		return nil
	}
	if k.plain {
		c.stage = greeted
		return c.write(binary.LittleEndian.AppendUint32(nil, uint32(c.number)))
	}
	return c.write([]byte("GET /v1/stream HTTP/1.1\r\nHost: " + target.String() + "\r\nConnection: Upgrade\r\n" +
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
		"Sec-WebSocket-Protocol: rollcall.v1.proto\r\n\r\n"))
}

// drop closes a client's socket without a word.
func (k *crowd) drop(c *client) {
	if c.stage == closed {
		return
	}
	_ = unix.Close(c.fd) // what it had is given up
	if c.stage == ready {
		k.readyCount--
	}
	c.stage = closed
}

// hang closes all that a crowd has open.
func (k *crowd) hang() {
	for _, c := range k.clients {
		k.drop(c)
	}
	k.soon, k.lazy = fifo{}, fifo{}
}

// arrived is called when a client has all that it waits for at the start.
func (k *crowd) arrived(c *client) {
	c.stage = ready
	k.readyCount++
	if k.onReady != nil {
		k.onReady(c)
	}
}

func (k *crowd) answered(c *client, now int64) {
	if k.onAnswer != nil {
		k.onAnswer(c, now)
	}
}

func (k *crowd) delivered(user int, now int64) {
	if k.onDelivered != nil {
		k.onDelivered(user, now)
	}
}

// connect opens clients, so many at a time, until all are ready.
func (k *crowd) connect(b *testing.B, clients []*client, atOnce int) {
	b.Helper()
	want, opened := k.readyCount+len(clients), 0
	before := k.readyCount
	err := k.until(patience, func() (bool, error) {
		for opened < len(clients) && opened-(k.readyCount-before) < atOnce {
			if err := k.open(clients[opened]); err != nil {
				return false, err
			}
			opened++
		}
		return k.readyCount >= want, nil
	})
	if err != nil {
		b.Fatalf("connecting, %d of %d are ready: %v", k.readyCount, want, err)
	}
}

// until runs the loop until done says so.
func (k *crowd) until(limit time.Duration, done func() (bool, error)) error {
	deadline := time.Now().Add(limit).UnixNano()
	for {
		over, err := done()
		if over || err != nil {
			return err
		}
		now := time.Now().UnixNano()
		if now > deadline {
			return fmt.Errorf("bench: not done after %s", limit)
		}
		if err := k.step(now + int64(10*time.Millisecond)); err != nil {
			return err
		}
	}
}

// idle runs the loop for a while.
func (k *crowd) idle(d time.Duration) error {
	end := time.Now().Add(d)
	return k.until(d+patience, func() (bool, error) { return !time.Now().Before(end), nil })
}

// step waits for events, at most until a moment, and handles them.
func (k *crowd) step(until int64) error {
	now := time.Now().UnixNano()
	next, err := k.ackDue(now)
	if err != nil {
		return err
	}
	if next != 0 && next < until {
		until = next
	}
	n, err := k.wait(max(until-now, 0))
	if err != nil {
		return err
	}
	for i := range n {
		c := k.clients[k.events[i].Fd]
		if c.stage == closed {
			continue
		}
		if err := c.readable(time.Now().UnixNano()); err != nil {
			return err
		}
	}
	return nil
}

// wait is epoll_pwait2: epoll_wait counts in whole milliseconds.
func (k *crowd) wait(ns int64) (int, error) {
	limit := unix.NsecToTimespec(ns)
	n, _, e := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(k.poll), uintptr(unsafe.Pointer(&k.events[0])),
		uintptr(len(k.events)), uintptr(unsafe.Pointer(&limit)), 0, 0)
	if e != 0 && e != unix.EINTR {
		return 0, e
	}
	if e != 0 {
		return 0, nil
	}
	return int(n), nil
}

// acknowledge answers a batch now or later, as the protocol asks.
func (k *crowd) acknowledge(c *client, now int64) error {
	if k.plain {
		return nil
	}
	switch {
	case c.seq-c.acked >= ackAtOnce && now-c.lastAck >= ackSpacing:
		return k.ack(c, now)
	case c.seq-c.acked == ackAtOnce:
		k.soon.push(due{c, now + ackSpacing})
	case !c.ackQueued:
		c.ackQueued = true
		k.lazy.push(due{c, now + ackLatest})
	}
	return nil
}

func (k *crowd) ack(c *client, now int64) error {
	c.acked, c.lastAck = c.seq, now
	k.acks++
	return c.send(ackFrame(c.seq))
}

// ackDue sends the acknowledgements that have waited long enough, and says when
// the next is due.
func (k *crowd) ackDue(now int64) (next int64, err error) {
	for _, f := range []*fifo{&k.soon, &k.lazy} {
		for {
			c, at := f.pop(now)
			if c == nil {
				if at != 0 && (next == 0 || at < next) {
					next = at
				}
				break
			}
			if f == &k.lazy {
				c.ackQueued = false
			}
			if c.stage != ready && c.stage != watching || c.acked == c.seq {
				continue
			}
			if err := k.ack(c, now); err != nil {
				return 0, err
			}
		}
	}
	return next, nil
}
