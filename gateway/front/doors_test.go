package front

import (
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"rollcall/limit"
)

func doorsFor(l Limits) (*Doors, *time.Time) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	return newDoors(l.defaults(), func() time.Time { return now }), &now
}

func TestSocketsInTotal(t *testing.T) {
	d, _ := doorsFor(Limits{Sockets: 2})
	first, err := d.Enter("10.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Enter("10.0.0.2:1"); err != nil {
		t.Fatal(err)
	}
	_, err = d.Enter("10.0.0.3:1")
	if !errors.Is(err, ErrConnections) || Refusal(err).RetryAfter < time.Second || Refusal(err).RetryAfter > 30*time.Second {
		t.Errorf("a third socket: %v", err)
	}
	first.Leave()
	if _, err := d.Enter("10.0.0.3:1"); err != nil || d.Sockets() != 2 {
		t.Errorf("after one left: %v, %d open", err, d.Sockets())
	}
}

func TestSocketsOfOneAddress(t *testing.T) {
	for name, tt := range map[string]struct {
		same, other string
	}{
		"IPv4":             {"10.0.0.1:2", "10.0.0.2:2"},
		"IPv4 inside IPv6": {"[::ffff:10.0.0.1]:2", "10.0.0.2:2"},
		"one IPv6 network": {"[2001:db8::9]:2", "[2001:db8:0:1::1]:2"},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := doorsFor(Limits{PerAddress: 1})
			first := "10.0.0.1:1"
			if name == "one IPv6 network" {
				first = "[2001:db8::1]:1"
			}
			door, err := d.Enter(first)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Enter(tt.same); !errors.Is(err, ErrAddress) {
				t.Errorf("a second from there: %v", err)
			}
			if _, err := d.Enter(tt.other); err != nil {
				t.Errorf("from elsewhere: %v", err)
			}
			door.Leave()
			if _, err := d.Enter(tt.same); err != nil {
				t.Errorf("after the first left: %v", err)
			}
		})
	}
}

func TestHandshakesArePaced(t *testing.T) {
	d, now := doorsFor(Limits{Handshakes: limit.Rate{Count: 2, Per: time.Second, Burst: 2}})
	enter := func() error {
		door, err := d.Enter("10.0.0.1:1")
		if err == nil {
			door.Leave()
		}
		return err
	}
	for range 2 {
		if err := enter(); err != nil {
			t.Fatal(err)
		}
	}
	if err := enter(); !errors.Is(err, ErrConnections) {
		t.Errorf("a third at once: %v", err)
	}
	*now = now.Add(time.Second / 2)
	if err := enter(); err != nil {
		t.Errorf("half a second later: %v", err)
	}
}

func TestMemoryGuard(t *testing.T) {
	d, now := doorsFor(Limits{Memory: 1000})
	used := int64(999)
	d.measure = func() int64 { return used }
	if _, err := d.Enter("10.0.0.1:1"); err != nil {
		t.Errorf("below the guard: %v", err)
	}
	used = 1000
	*now = now.Add(memoryEvery)
	if _, err := d.Enter("10.0.0.1:1"); !errors.Is(err, ErrMemory) {
		t.Errorf("at the guard: %v", err)
	}
	if d.Scarce() {
		t.Error("at the guard queues are dropped already")
	}
	used = 1083
	*now = now.Add(memoryEvery)
	if !d.Scarce() {
		t.Error("at 92 % of what the process may have no queue is dropped")
	}
	used = 999
	if _, err := d.Enter("10.0.0.1:1"); !errors.Is(err, ErrMemory) {
		t.Errorf("the reading was not kept: %v", err)
	}
	*now = now.Add(memoryEvery)
	if _, err := d.Enter("10.0.0.1:1"); err != nil {
		t.Errorf("with memory again: %v", err)
	}
	if memoryInUse() < 1<<20 {
		t.Errorf("%d bytes in use is not a reading of this process", memoryInUse())
	}
}

// addressed is a connection of a given source that notes its end.
type addressed struct {
	net.Conn
	from   string
	closed bool
}

func (c *addressed) RemoteAddr() net.Addr { return stringAddr(c.from) }
func (c *addressed) Close() error         { c.closed = true; return nil }

type stringAddr string

func (stringAddr) Network() string  { return "tcp" }
func (a stringAddr) String() string { return string(a) }

func TestRequestConnectionsOfOneAddress(t *testing.T) {
	d, _ := doorsFor(Limits{PerAddress: 2})
	open := func(from string) *addressed {
		c := &addressed{from: from}
		d.ConnState(c, http.StateNew)
		return c
	}
	a, b, third, other := open("10.0.0.1:1"), open("10.0.0.1:2"), open("10.0.0.1:3"), open("10.0.0.2:1")
	if a.closed || b.closed || !third.closed || other.closed {
		t.Errorf("closed: %v %v %v, other %v", a.closed, b.closed, third.closed, other.closed)
	}
	d.ConnState(third, http.StateClosed)
	d.ConnState(a, http.StateHijacked)
	if c := open("10.0.0.1:4"); c.closed {
		t.Error("a place that was given back is not taken")
	}
	if c := open("10.0.0.1:5"); !c.closed {
		t.Error("the limit is gone")
	}
}
