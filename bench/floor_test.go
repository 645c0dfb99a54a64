package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protowire"
)

// The floor is what no server in this language and kernel can get below: one
// thread, raw system calls, frames of floorFrame bytes rendered beforehand, no
// tokens, no permission, no store, no acknowledgement. It is the same test
// program, started again with floorVariable set.
const (
	floorVariable = "ROLLCALL_BENCH_FLOOR" // "address frames-per-write watchers connections"
	floorFrame    = 120
	floorTick     = 10 * time.Millisecond // how long a frame waits for others
)

func startFloor(b *testing.B, s *settings, perWrite int) (*process, string) {
	b.Helper()
	address := freeAddress(b)
	cmd := exec.Command(os.Args[0], "-test.run", "^$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d %d", floorVariable, address, perWrite, s.watchers, s.connections))
	p := start(b, s, cmd)
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		b.Fatal(err)
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			b.Fatal(err)
		}
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
		_ = unix.Close(fd) // it only asked whether somebody listens
		if err == nil {
			return p, address
		}
		select {
		case <-p.end:
			b.Fatal("the floor ended:", p.err)
		case <-time.After(2 * time.Millisecond):
		}
	}
	b.Fatal("the floor did not start")
	return nil, ""
}

// floor fans out what its clients publish.
type floor struct {
	perWrite, watchers int
	listener, poll     int
	fds                []int    // by user
	users              []int    // by fd, -1 while unknown
	frames             [][]byte // by user, rendered
	versions           []uint64
	queues             [][]byte // by user: frames that wait
	queued             []int
	isDirty            []bool
	dirty              []int
	in                 []byte
}

// versionAt is where the eight bytes of the version are in a rendered frame.
const versionAt = 2 + 2 + 2 + 2 + 2 + 44 + 1

func renderFloor(user int) []byte {
	item := appendText(nil, itemUser, userMRI(user))
	item = protowire.AppendFixed64(protowire.AppendTag(item, itemVersion, protowire.Fixed64Type), 0)
	pad := floorFrame - 2 - 2 - 2 - 2 - len(item) - 2
	item = appendText(item, 3, strings.Repeat("x", pad))
	batch := appendPart(appendNumber(nil, batchSeq, 1), batchItems, item)
	return append([]byte{finalBinary, byte(len(batch) + 2)}, appendPart(nil, fieldBatch, batch)...)
}

// serveFloor runs until the process is ended; it gives the exit code.
func serveFloor(setting string) int {
	if err := runFloor(setting); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		return 1
	}
	return 0
}

func runFloor(setting string) error {
	part := strings.Fields(setting)
	if len(part) != 4 {
		return fmt.Errorf("%s is %q", floorVariable, setting)
	}
	var n [3]int
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(part[i+1]); err != nil {
			return err
		}
	}
	f := &floor{
		perWrite: n[0], watchers: n[1], fds: make([]int, n[2]), users: make([]int, 0, 2*n[2]),
		versions: make([]uint64, n[2]), queues: make([][]byte, n[2]), queued: make([]int, n[2]),
		isDirty: make([]bool, n[2]), in: make([]byte, 64<<10),
	}
	for u := range n[2] {
		f.frames = append(f.frames, renderFloor(u))
	}
	if err := f.listen(part[0]); err != nil {
		return err
	}
	return f.loop()
}

func (f *floor) listen(address string) (err error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if f.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0); err != nil {
		return err
	}
	if f.poll, err = unix.EpollCreate1(0); err != nil {
		return err
	}
	return errors.Join(
		unix.SetsockoptInt(f.listener, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(f.listener, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}),
		unix.Listen(f.listener, 4096), f.add(f.listener),
	)
}

func (f *floor) add(fd int) error {
	return unix.EpollCtl(f.poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (f *floor) loop() error {
	events := make([]unix.EpollEvent, 512)
	flushed := time.Now()
	for {
		wait := -1
		if len(f.dirty) > 0 {
			wait = int(max(floorTick-time.Since(flushed), 0).Milliseconds())
		}
		n, err := unix.EpollWait(f.poll, events, wait)
		if err != nil && err != unix.EINTR {
			return err
		}
		for i := range max(n, 0) {
			if err := f.event(int(events[i].Fd)); err != nil {
				return err
			}
		}
		if len(f.dirty) > 0 && time.Since(flushed) >= floorTick {
			flushed = time.Now()
			if err := f.flush(); err != nil {
				return err
			}
		} else if len(f.dirty) == 0 {
			flushed = time.Now()
		}
	}
}

func (f *floor) event(fd int) error {
	if fd == f.listener {
		c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err != nil {
			return nil // nobody is left to accept
		}
		for len(f.users) <= c {
			f.users = append(f.users, -1)
		}
		f.users[c] = -1
		return errors.Join(f.add(c), unix.SetsockoptInt(c, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	}
	n, err := unix.Read(fd, f.in)
	if err != nil || n == 0 {
		return unix.Close(fd)
	}
	got := f.in[:n]
	if f.users[fd] < 0 {
		user := int(binary.LittleEndian.Uint32(got))
		f.users[fd], f.fds[user] = user, fd
		return f.write(fd, []byte{finalBinary, 2, fieldWelcome<<3 | 2, 0})
	}
	for len(got) > 0 { // whole frames: a client has one publish under way
		got = got[2+4+int(got[1]&0x7f):]
		if err := f.publish(f.users[fd]); err != nil {
			return err
		}
	}
	return nil
}

// publish writes to the same watchers as listOf gives the node's clients.
func (f *floor) publish(user int) error {
	frame := f.frames[user]
	f.versions[user]++
	binary.LittleEndian.PutUint64(frame[versionAt:], f.versions[user])
	if err := f.write(f.fds[user], []byte{finalBinary, 4, fieldID << 3, 1, fieldDone<<3 | 2, 0}); err != nil {
		return err
	}
	for k := range f.watchers {
		to := watcher(user, k, len(f.fds))
		if f.perWrite == 1 {
			if err := f.write(f.fds[to], frame); err != nil {
				return err
			}
			continue
		}
		if !f.isDirty[to] {
			f.isDirty[to] = true
			f.dirty = append(f.dirty, to)
		}
		f.queues[to] = append(f.queues[to], frame...)
		if f.queued[to]++; f.queued[to] >= f.perWrite {
			if err := f.flushOne(to); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *floor) flush() error {
	for _, u := range f.dirty {
		if err := f.flushOne(u); err != nil {
			return err
		}
		f.isDirty[u] = false
	}
	f.dirty = f.dirty[:0]
	return nil
}

func (f *floor) flushOne(user int) error {
	if len(f.queues[user]) == 0 {
		return nil
	}
	err := f.write(f.fds[user], f.queues[user])
	f.queues[user], f.queued[user] = f.queues[user][:0], 0
	return err
}

func (f *floor) write(fd int, b []byte) error {
	n, err := unix.Write(fd, b)
	if err == nil && n != len(b) {
		err = errors.New("short write")
	}
	return err
}
