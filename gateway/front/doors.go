package front

import (
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"rollcall/limit"
)

// Doors counts connections: those of HTTP requests as the server reports them,
// and the sockets and streams that live on by themselves.
type Doors struct {
	limits Limits
	now    func() time.Time

	mu       sync.Mutex
	total    int // sockets
	sockets  map[netip.Addr]int
	requests map[netip.Addr]int
	rate     limit.Bucket
	memory   int64
	measured time.Time
	measure  func() int64
}

// memoryEvery is how often the memory in use is read.
const memoryEvery = 250 * time.Millisecond

func newDoors(l Limits, now func() time.Time) *Doors {
	if l.Memory == 0 {
		if most := debug.SetMemoryLimit(-1); most < math.MaxInt64 {
			l.Memory = most / 100 * 85
		}
	}
	return &Doors{
		limits: l, now: now, measure: memoryInUse,
		sockets: make(map[netip.Addr]int), requests: make(map[netip.Addr]int),
	}
}

// memoryInUse is what GOMEMLIMIT bounds.
func memoryInUse() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}

// source64 is what counts as one source: an IPv4 address, an IPv6 network of 64
// bits. What has no address is one source together.
func source64(remote string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	a := at.Addr().Unmap().WithZone("")
	if a.Is4() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}

// Door is one socket's place among those that a node takes.
type Door struct {
	doors *Doors
	from  netip.Addr
}

// Enter admits one socket or stream of a remote address, as http.Request has
// it, or says why not. Leave must be called when it has ended.
func (d *Doors) Enter(remote string) (Door, error) {
	from := source64(remote)
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.total >= d.limits.Sockets:
		return Door{}, ErrConnections.After(spread())
	case d.sockets[from] >= d.limits.PerAddress:
		return Door{}, ErrAddress
	case d.short(now):
		return Door{}, ErrMemory
	}
	if ok, _ := d.rate.Take(now, d.limits.Handshakes); !ok {
		return Door{}, ErrConnections.With("too many new connections at once, try again").After(spread())
	}
	d.total++
	d.sockets[from]++
	return Door{d, from}, nil
}

// spread is when to come back: 1 to 30 s, so that those who were refused
// together do not return together.
func spread() time.Duration { return time.Second + rand.N(29*time.Second) }

// short says whether memory is short, from a reading at most memoryEvery old.
func (d *Doors) short(now time.Time) bool {
	if d.limits.Memory == 0 {
		return false
	}
	if age := now.Sub(d.measured); age >= memoryEvery || age < 0 {
		d.memory, d.measured = d.measure(), now
	}
	return d.memory >= d.limits.Memory
}

// Scarce says whether memory is so short that refusing newcomers is not enough:
// 92 % of GOMEMLIMIT where newcomers are refused at 85 %.
func (d *Doors) Scarce() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.short(d.now()) && d.memory >= d.limits.Memory/85*92
}

// Leave gives the place back. It is called once.
func (p Door) Leave() {
	p.doors.mu.Lock()
	defer p.doors.mu.Unlock()
	p.doors.total--
	drop(p.doors.sockets, p.from)
}

func drop(m map[netip.Addr]int, a netip.Addr) {
	if m[a]--; m[a] <= 0 {
		delete(m, a)
	}
}

// ConnState counts the server's connections by source and closes a new one that
// is beyond the limit: http.Server.ConnState.
func (d *Doors) ConnState(c net.Conn, s http.ConnState) {
	from := source64(c.RemoteAddr().String())
	d.mu.Lock()
	defer d.mu.Unlock()
	switch s {
	case http.StateNew:
		if d.requests[from]++; d.requests[from] > d.limits.PerAddress {
			_ = c.Close() // the server sees it and reports StateClosed
		}
	case http.StateHijacked, http.StateClosed:
		drop(d.requests, from)
	}
}

// Sockets is the number of sockets and streams that are open.
func (d *Doors) Sockets() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.total
}
