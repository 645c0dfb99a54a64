package wsconn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fill sends to a peer that does not read until the outbox refuses, and
// returns how many messages of size bytes were accepted.
func fill(t *testing.T, c *Conn, size int) int {
	t.Helper()
	payload := make([]byte, size)
	for n := range 1 << 16 {
		binary.BigEndian.PutUint32(payload, uint32(n))
		err := c.Send(Binary, payload)
		if errors.Is(err, ErrSlow) {
			return n
		}
		if err != nil {
			t.Fatalf("send %d: %v", n, err)
		}
	}
	t.Fatal("the outbox never filled")
	return 0
}

// sendUntilClosed sends to a peer that does not read until the write timeout
// has ended the connection. One ErrSlow does not show that the peer is stuck:
// the kernel may yet take what is queued.
func sendUntilClosed(t *testing.T, send func() error) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < patience; {
		err := send()
		switch {
		case errors.Is(err, ErrClosed):
			return
		case errors.Is(err, ErrSlow):
			<-tick.C
		case err != nil:
			t.Fatal(err)
		}
	}
	t.Fatal("the write timeout never ended the connection")
}

func transports(t *testing.T, test func(t *testing.T, secure bool)) {
	t.Run("plain", func(t *testing.T) { t.Parallel(); test(t, false) })
	t.Run("TLS", func(t *testing.T) { t.Parallel(); test(t, true) })
}

func TestSlowReader(t *testing.T) {
	transports(t, func(t *testing.T, secure bool) {
		s := start(t, &Config{}, nil, secure)
		slow, c := dial(t, s)
		neighbour, other := dial(t, s)
		sent := fill(t, c, 8<<10)
		if n := c.Buffered(); n > 256<<10 {
			t.Fatalf("%d bytes buffered, limit is 256 KiB", n)
		}
		neighbour.send(masked(0x81, "unaffected"))
		neighbour.want(0x81, "unaffected")
		if err := other.Queue(Text, []byte("x")); err != nil {
			t.Fatalf("neighbour: %v", err)
		}
		for i := range sent {
			f, err := slow.frame()
			if err != nil || binary.BigEndian.Uint32(f.payload) != uint32(i) {
				t.Fatalf("frame %d of %d: %v, out of order or lost", i, sent, err)
			}
		}
		c.awaitDrain()
		c.mu.Lock()
		if c.out != nil || c.drained != nil || c.buffered() != 0 {
			t.Errorf("still held when empty: buffer %v, drain %v, %d bytes", c.out != nil, c.drained != nil, c.buffered())
		}
		c.mu.Unlock()
		if err := c.Send(Text, []byte("again")); err != nil {
			t.Fatalf("send after the backlog: %v", err)
		}
		slow.want(0x81, "again")
	})
}

func TestWriteTimeout(t *testing.T) {
	transports(t, func(t *testing.T, secure bool) {
		s := start(t, &Config{WriteTimeout: 50 * time.Millisecond}, nil, secure)
		_, c := dial(t, s)
		sendUntilClosed(t, func() error { return c.Send(Binary, make([]byte, 8<<10)) })
		err := within(t, s.ended, "Serve to return")
		var ce *CloseError
		if !errors.Is(err, ErrWriteTimeout) || !errors.As(err, &ce) || ce.Code != CodeAbnormal {
			t.Fatalf("Serve returned %v, want 1006 by write timeout", err)
		}
		if err := c.Queue(Text, nil); !errors.Is(err, ErrClosed) {
			t.Fatalf("Queue after the end: %v, want ErrClosed", err)
		}
		if n := c.Buffered(); n != 0 {
			t.Fatalf("%d bytes held after the end", n)
		}
	})
}

// A peer that takes 16 KiB within each WriteTimeout is slow, not gone, however
// long the whole backlog takes. In virtual time over a pipe: a kernel moves the
// window of a full socket in steps of its own.
func TestSteadySlowReaderIsKept(t *testing.T) {
	for pause, kept := range map[time.Duration]bool{9 * time.Second: true, 11 * time.Second: false} {
		t.Run(pause.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, client := net.Pipe()
				st := new(Stream)
				st.open(server, &Config{})
				backlog := bytes.Repeat([]byte("0123456789abcdef"), 16<<10)
				if err := st.Queue(backlog); err != nil {
					t.Fatal(err)
				}
				st.Flush()
				var got []byte
				for piece := make([]byte, drainPiece); len(got) < len(backlog); got = append(got, piece...) {
					time.Sleep(pause)
					if st.Buffered() == 0 {
						break
					}
					if _, err := io.ReadFull(client, piece); err != nil {
						t.Fatal(err)
					}
				}
				st.awaitDrain()
				if bytes.Equal(got, backlog) != kept || errors.Is(st.failed, ErrWriteTimeout) == kept {
					t.Fatalf("%d of %d bytes, %v; want all %v", len(got), len(backlog), st.failed, kept)
				}
				if err := errors.Join(server.Close(), client.Close()); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func TestQueueWritesNothingUntilFlush(t *testing.T) {
	s := serve(t, &Config{}, nil)
	p, c := dial(t, s)
	payload := []byte("mine")
	for range 3 {
		if err := c.Queue(Text, payload); err != nil {
			t.Fatal(err)
		}
	}
	copy(payload, "gone")
	if n := c.Buffered(); n != 3*6 {
		t.Fatalf("%d bytes buffered, want 18", n)
	}
	c.Flush()
	if n := c.Buffered(); n != 0 {
		t.Fatalf("%d bytes left after Flush", n)
	}
	for range 3 {
		p.want(0x81, "mine")
	}
}

func TestOutboxLimitIsExact(t *testing.T) {
	s := serve(t, &Config{OutboxLimit: 1000}, nil)
	p, c := dial(t, s)
	if err := c.Queue(Binary, make([]byte, 1000)); !errors.Is(err, ErrSlow) {
		t.Fatalf("message over the limit: %v, want ErrSlow", err)
	}
	if n := c.Buffered(); n != 0 {
		t.Fatalf("a refused message left %d bytes", n)
	}
	if err := c.Queue(Binary, make([]byte, 1000-maxHeader)); err != nil {
		t.Fatalf("message at the limit: %v", err)
	}
	c.Close(CodeGoingAway, "the close frame passes a full outbox")
	p.want(0x82, string(make([]byte, 1000-maxHeader)))
	p.want(0x88, "\x03\xe9the close frame passes a full outbox")
	p.send(closeFrame(CodeGoingAway, ""))
	p.wantEOF()
}

func TestLengthsOfEverySize(t *testing.T) {
	s := serve(t, &Config{MaxMessage: 70 << 10}, nil)
	p, _ := dial(t, s)
	for _, n := range []int{0, 1, 3, 15, 16, 17, 31, 63, 64, 65, 125, 126, 127, 1000, 16<<10 + 1, 65535, 65536, 70 << 10} {
		payload := strings.Repeat("0123456789abc", n/13+1)[:n]
		p.send(masked(0x81, payload))
		p.want(0x81, payload)
	}
}

// One flush of more than the socket takes: the drain goroutine goes on where
// the write stopped, and its deadline does not outlive it.
func TestFlushOfMoreThanTheSocketTakes(t *testing.T) {
	const timeout = 300 * time.Millisecond
	s := serve(t, &Config{OutboxLimit: 8 << 20, WriteTimeout: timeout}, nil)
	p, c := dial(t, s)
	payload := make([]byte, 4<<20)
	for i := range len(payload) / 4 {
		binary.BigEndian.PutUint32(payload[4*i:], uint32(i))
	}
	go func() { _ = c.Send(Binary, payload) }() // the read below notices a failure
	if f, err := p.frame(); err != nil || !bytes.Equal(f.payload, payload) {
		t.Fatalf("%d bytes came, %v; want the %d sent", len(f.payload), err, len(payload))
	}
	c.awaitDrain()
	<-time.After(2 * timeout) // real sockets know no virtual time
	if err := c.Send(Text, []byte("later")); err != nil {
		t.Fatal(err)
	}
	p.want(0x81, "later")
}

// The echo of a close waits behind a backlog nobody reads, but not for as long
// as a write may take.
func TestPeerClosesWithoutReading(t *testing.T) {
	s := serve(t, &Config{WriteTimeout: time.Hour, answerWait: 50 * time.Millisecond}, nil)
	p, c := dial(t, s)
	fill(t, c, 8<<10)
	p.send(closeFrame(CodeGoingAway, ""))
	wantCode(t, within(t, s.ended, "Serve to return"), CodeGoingAway, true)
}

// Many goroutines queue, flush, ping and at last close; the peer sees each
// one's messages in order, and nothing behind the close frame.
func TestConcurrentUse(t *testing.T) {
	transports(t, func(t *testing.T, secure bool) {
		s := start(t, &Config{}, nil, secure)
		p, c := dial(t, s)
		const writers, each = 8, 200
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					if err := c.Queue(Binary, []byte{byte(w), byte(i)}); err != nil {
						t.Errorf("writer %d: %v", w, err)
					}
					if i%3 == 0 {
						c.Flush()
					}
					if i%50 == 0 {
						c.Ping()
					}
				}
				_, _, _ = c.Buffered(), c.LastHeard(), c.RemoteAddr()
			})
		}
		go func() {
			wg.Wait()
			var closers sync.WaitGroup
			for i := range 4 {
				closers.Go(func() { c.Close(uint16(4000+i), ""); c.Flush() })
			}
			closers.Wait()
		}()
		var next [writers]int
		for {
			f, err := p.frame()
			if err != nil {
				t.Fatalf("no close frame: %v", err)
			}
			if f.first == 0x88 {
				break
			}
			if f.first == 0x82 {
				w := f.payload[0]
				if int(f.payload[1]) != next[w] {
					t.Fatalf("writer %d: message %d, want %d", w, f.payload[1], next[w])
				}
				next[w]++
			}
		}
		p.send(closeFrame(4000, ""))
		p.wantEOF()
		for w, n := range next {
			if n != each {
				t.Errorf("writer %d: %d messages came, want %d", w, n, each)
			}
		}
		<-c.Done()
	})
}

// A peer that sends pings and reads nothing costs at most the outbox limit and
// is not an error of ours.
func TestPingFloodIsBounded(t *testing.T) {
	s := serve(t, &Config{OutboxLimit: 4 << 10, WriteTimeout: 100 * time.Millisecond}, nil)
	p, c := dial(t, s)
	flood := bytes.Repeat(masked(0x89, strings.Repeat("p", 125)), 500)
	for {
		if _, err := p.Write(flood); err != nil {
			break // cut off by the write timeout
		}
		if n := c.Buffered(); n > 4<<10 {
			t.Fatalf("%d bytes buffered, limit is 4 KiB", n)
		}
	}
	if err := within(t, s.ended, "Serve to return"); !errors.Is(err, ErrWriteTimeout) {
		t.Fatalf("Serve returned %v, want the write timeout", err)
	}
}

func TestBufferSizes(t *testing.T) {
	for _, n := range []int{0, 1, 1 << 10, 1<<10 + 1, 100 << 10, 256 << 10, 1 << 20} {
		b := getBuffer(n)
		if len(*b) != 0 || cap(*b) < n {
			t.Errorf("getBuffer(%d): len %d, cap %d", n, len(*b), cap(*b))
		}
		*b = append(*b, fmt.Sprint(n)...)
		putBuffer(b)
	}
	if b := getBuffer(1); len(*b) != 0 {
		t.Errorf("a reused buffer still holds %q", *b)
	}
}
