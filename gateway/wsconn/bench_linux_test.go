package wsconn

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rawClient opens a socket that costs the Go heap nothing, so that what is
// measured is the server's, and sends request if there is one.
func rawClient(b *testing.B, addr net.Addr, request string) int {
	b.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	to := &unix.SockaddrInet4{Port: addr.(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Connect(fd, to); err != nil {
		b.Fatal(err)
	}
	if request == "" {
		return fd
	}
	if _, err := unix.Write(fd, []byte(request)); err != nil {
		b.Fatal(err)
	}
	answer := make([]byte, 512)
	if n, err := unix.Read(fd, answer); err != nil || !bytes.Contains(answer[:n], []byte(" 101 ")) {
		b.Fatalf("handshake: %q, %v", answer[:n], err)
	}
	return fd
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd) // nothing is left to lose
	}
}

func residentBytes(b *testing.B) int {
	stat, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(stat))[1])
	if err != nil {
		b.Fatal(err)
	}
	return pages * os.Getpagesize()
}

type memory struct{ heap, stack, resident int }

func measure(b *testing.B) memory {
	for range 4 { // stacks shrink by half per cycle, pools need two
		runtime.GC()
	}
	debug.FreeOSMemory()
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	return memory{int(samples[0].Value.Uint64()), int(samples[1].Value.Uint64()), residentBytes(b)}
}

// Bytes that one more idle connection costs, kernel memory aside: fresh, and
// after a message whose callback needed a few KiB of stack. The timed part is
// what a ping wheel asks of each connection.
func BenchmarkIdleConnection(b *testing.B) {
	const warm, n = 500, 3000
	for _, after := range []string{"handshake", "message"} {
		b.Run("after="+after, func(b *testing.B) {
			heard := make(chan error, warm+n)
			s := serve(b, &Config{}, func(_ *Conn, _ Op, p []byte) error {
				var hello map[string]any
				err := json.Unmarshal(p, &hello)
				heard <- err
				return err
			})
			s.ended = make(chan error, warm+n)
			var fds []int
			defer func() { closeAll(fds) }()
			conns := make([]*Conn, 0, warm+n)
			open := func(n int) {
				for range n {
					fd := rawClient(b, s.Listener.Addr(), handshake+"\r\n")
					fds = append(fds, fd)
					conns = append(conns, within(b, s.conns, "the server's connection"))
					if after == "handshake" {
						continue
					}
					if _, err := unix.Write(fd, masked(0x81, `{"hello":{"endpoint":"x","resume":[1,2,3]}}`)); err != nil {
						b.Fatal(err)
					}
					if err := within(b, heard, "the message"); err != nil {
						b.Fatal(err)
					}
				}
			}
			fds = slices.Grow(fds, warm+n)
			open(warm)
			before := measure(b)
			open(n)
			now := measure(b)
			i := 0
			for b.Loop() {
				if conns[i%len(conns)].LastHeard().IsZero() {
					b.Fatal("never heard of")
				}
				i++
			}
			b.ReportMetric(float64(now.heap-before.heap)/n, "heap-B/conn")
			b.ReportMetric(float64(now.stack-before.stack)/n, "stack-B/conn")
			b.ReportMetric(float64(now.resident-before.resident)/n, "rss-B/conn")
		})
	}
}

// reader empties sockets from one thread and lets the sender wait for it.
type reader struct {
	mu    sync.Mutex
	moved sync.Cond
	bytes int
}

func readAll(b *testing.B, fds []int) *reader {
	b.Helper()
	r := new(reader)
	r.moved.L = &r.mu
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		b.Fatal(err)
	}
	for _, fd := range fds {
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			b.Fatal(err)
		}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	b.Cleanup(func() {
		close(stop)
		<-stopped
		_ = unix.Close(ep) // nothing is left to lose
	})
	go func() { defer close(stopped); r.run(ep, stop) }()
	return r
}

func (r *reader) run(ep int, stop <-chan struct{}) {
	events, buf := make([]unix.EpollEvent, 512), make([]byte, 256<<10)
	for {
		select {
		case <-stop:
			return
		default:
		}
		n, err := unix.EpollWait(ep, events, 4)
		if err != nil && err != unix.EINTR {
			return
		}
		total := 0
		for i := range max(n, 0) {
			if got, err := unix.Read(int(events[i].Fd), buf); err == nil {
				total += got
			}
		}
		r.mu.Lock()
		r.bytes += total
		r.moved.Broadcast()
		r.mu.Unlock()
	}
}

func (r *reader) await(bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.bytes < bytes {
		r.moved.Wait()
	}
}

// threadCPU is the CPU time of the calling thread.
func threadCPU(b *testing.B) time.Duration {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &ru); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

const benchConns = 500

// CPU of the sending thread per frame of 150 bytes, round robin over 500
// connections, k frames per write: this layer beside one net.Conn.Write of the
// same bytes already framed. Loopback charges the receiver's TCP work to it.
func BenchmarkFrames(b *testing.B) {
	payload := bytes.Repeat([]byte("p"), 150)
	for _, k := range []int{1, 16} {
		b.Run(fmt.Sprintf("layer/k=%d", k), func(b *testing.B) {
			s := serve(b, &Config{}, nil)
			s.conns, s.ended = make(chan *Conn, benchConns), make(chan error, benchConns)
			var fds []int
			defer func() { closeAll(fds) }()
			var conns []*Conn
			for range benchConns {
				fds = append(fds, rawClient(b, s.Listener.Addr(), handshake+"\r\n"))
				conns = append(conns, within(b, s.conns, "the server's connection"))
			}
			sendFrames(b, readAll(b, fds), k, func(i int) {
				c := conns[i%len(conns)]
				for range k {
					if err := c.Queue(Text, payload); err != nil {
						b.Fatal(err)
					}
				}
				c.Flush()
			})
		})
		b.Run(fmt.Sprintf("floor/k=%d", k), func(b *testing.B) {
			ln, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			var conns []net.Conn
			b.Cleanup(func() {
				for _, c := range conns {
					_ = c.Close() // nothing is left to lose
				}
				_ = ln.Close()
			})
			var fds []int
			defer func() { closeAll(fds) }()
			for range benchConns { // one by one: the backlog is short
				fds = append(fds, rawClient(b, ln.Addr(), ""))
				c, err := ln.Accept()
				if err != nil {
					b.Fatal(err)
				}
				conns = append(conns, c)
			}
			frames := bytes.Repeat(appendFrame(nil, 1, payload), k)
			sendFrames(b, readAll(b, fds), k, func(i int) {
				if _, err := conns[i%len(conns)].Write(frames); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// sendFrames keeps the reader within half a megabyte, so that no write meets a
// full socket.
func sendFrames(b *testing.B, r *reader, k int, send func(i int)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	size := len(appendFrame(nil, 1, make([]byte, 150))) * k
	begun, i := threadCPU(b), 0
	for b.Loop() {
		send(i)
		i++
		if i%256 == 0 {
			r.await(i*size - 512<<10)
		}
	}
	spent := threadCPU(b) - begun
	r.await(i * size)
	b.ReportMetric(float64(spent.Nanoseconds())/1e3/float64(i*k), "cpu-us/frame")
}

// One message in and its echo out, round robin over 500 connections: CPU of
// the whole process, the client's two system calls included.
func BenchmarkEcho(b *testing.B) {
	s := serve(b, &Config{}, nil)
	s.conns, s.ended = make(chan *Conn, benchConns), make(chan error, benchConns)
	var fds []int
	defer func() { closeAll(fds) }()
	for range benchConns {
		fds = append(fds, rawClient(b, s.Listener.Addr(), handshake+"\r\n"))
		within(b, s.conns, "the server's connection")
	}
	message, answer := masked(0x81, "an acknowledgement of 36 bytes......"), make([]byte, 512)
	begun, i := processCPU(b), 0
	for b.Loop() {
		fd := fds[i%len(fds)]
		i++
		if _, err := unix.Write(fd, message); err != nil {
			b.Fatal(err)
		}
		if n, err := unix.Read(fd, answer); err != nil || n != 38 {
			b.Fatalf("echo of %d bytes, %v", n, err)
		}
	}
	b.ReportMetric(float64((processCPU(b)-begun).Nanoseconds())/1e3/float64(i), "cpu-us/echo")
}

func processCPU(b *testing.B) time.Duration {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}
