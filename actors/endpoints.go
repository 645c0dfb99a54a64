package actors

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"rollcall/cluster"
	"rollcall/messages"
	"rollcall/presence"
	"rollcall/trouter"
)

// EndpointKey names an endpoint of a user: the id is the client's own, stable
// over its reconnects.
type EndpointKey struct {
	User presence.UserID
	ID   string
}

const numberShards = 64

// endpoints finds the endpoint actors of this gateway: by the client's id, by
// the secret in the endpoint's URL, and by the number that registrations carry.
// Numbers are never used twice, so that no update can reach a later endpoint.
type endpoints struct {
	sys     *System
	next    atomic.Uint32
	mu      sync.Mutex
	byKey   map[EndpointKey]*endpoint
	byURL   map[secret]*endpoint
	perUser map[presence.UserID]int
	closed  bool

	numbers [numberShards]numberShard
}

type numberShard struct {
	mu sync.RWMutex
	m  map[uint32]*endpoint
}

func (t *endpoints) init(s *System) {
	t.sys = s
	t.byKey, t.byURL = map[EndpointKey]*endpoint{}, map[secret]*endpoint{}
	t.perUser = map[presence.UserID]int{}
	for i := range t.numbers {
		t.numbers[i].m = map[uint32]*endpoint{}
	}
}

func (t *endpoints) numbered(n uint32) *endpoint {
	s := &t.numbers[n%numberShards]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.m[n]
}

// open returns the endpoint of a key and makes it if there is none.
func (t *endpoints) open(k EndpointKey) (*endpoint, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, messages.ErrClosing
	}
	if e := t.byKey[k]; e != nil {
		return e, nil
	}
	if t.perUser[k.User] >= t.sys.policies.of(k.User.Tenant).Quotas.Endpoints {
		return nil, messages.ErrEndpoints
	}
	e := newEndpoint(t.sys, k, t.next.Add(1))
	_, err := t.sys.node.SpawnPlain(func(m *cluster.Mailbox) actor.Actor {
		e.start(m)
		return e
	})
	if err != nil {
		return nil, err
	}
	t.byKey[k], t.byURL[e.secret] = e, e
	t.perUser[k.User]++
	s := &t.numbers[e.number%numberShards]
	s.mu.Lock()
	s.m[e.number] = e
	s.mu.Unlock()
	t.sys.metrics.endpoints.Inc()
	return e, nil
}

func (t *endpoints) forget(e *endpoint) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey[e.key] != e {
		return
	}
	delete(t.byKey, e.key)
	delete(t.byURL, e.secret)
	if t.perUser[e.key.User]--; t.perUser[e.key.User] == 0 {
		delete(t.perUser, e.key.User)
	}
	s := &t.numbers[e.number%numberShards]
	s.mu.Lock()
	delete(s.m, e.number)
	s.mu.Unlock()
	t.sys.metrics.endpoints.Dec()
}

// all lists the endpoints.
func (t *endpoints) all() []*endpoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]*endpoint, 0, len(t.byKey))
	for _, e := range t.byKey {
		list = append(list, e)
	}
	return list
}

// Shed makes every endpoint that holds at least so many bytes for its client
// drop them. The clients are given the present states instead as soon as they
// keep up again. It is what a node does when it runs out of memory.
func (s *System) Shed(bytes int) {
	for _, e := range s.endpoints.all() {
		e.mailbox.PostOwn(shed{bytes})
	}
}

// closeAll tells every endpoint that the node is going away.
func (t *endpoints) closeAll() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	for _, e := range t.all() {
		e.mailbox.PostOwn(goingAway{})
	}
}

// endAll lets go of whoever waits for an endpoint. No actor runs any more.
func (t *endpoints) endAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.byKey {
		e.done() // so that nobody makes another
		close(*e.ended.Load())
	}
}

// Attach is a client's hello, already authenticated.
type Attach struct {
	Key     EndpointKey
	Device  presence.Device
	Session string // to resume, or empty
	Ack     uint64 // last sequence received in that session
	Conn    Conn
}

// Attached is the answer to a hello.
type Attached struct {
	Address  trouter.Address
	Session  string
	Resumed  bool // what was not acknowledged follows; the watches are as they were
	Watching int  // when resumed
}

// Attach connects a client to its endpoint, which is made if need be. The
// endpoint calls Conn.Welcome before anything else. An older connection of the
// same endpoint is closed as superseded.
func (s *System) Attach(ctx context.Context, a Attach) (*Link, error) {
	for {
		e, err := s.endpoints.open(a.Key)
		if err != nil {
			return nil, err
		}
		done := make(chan *Link, 1)
		err = e.mailbox.Post(&attach{Attach: a, done: done})
		if errors.Is(err, cluster.ErrClosed) && ctx.Err() == nil {
			s.endpoints.forget(e) // it ended just now
			continue
		}
		if err != nil {
			return nil, err
		}
		select {
		case l := <-done:
			if l == nil {
				return nil, messages.ErrClosing
			}
			return l, nil
		case <-e.done():
			continue
		case <-ctx.Done():
			return nil, messages.ErrTimeout
		}
	}
}

// Endpoint finds a user's endpoint by its address. ErrBadID if there is none on
// this gateway, also if it is somebody else's.
func (s *System) Endpoint(u presence.UserID, a trouter.Address) (*Link, error) {
	if e := s.endpoints.secret(a.Endpoint); e != nil && e.key.User == u && e.address() == a {
		return &Link{endpoint: e}, nil
	}
	return nil, errNoEndpoint
}

var errNoEndpoint = messages.ErrBadID.With("no endpoint of this user has that URL, it may have ended")

// secret finds an endpoint by the secret in its URL, nil if there is none.
func (t *endpoints) secret(text string) *endpoint {
	var k secret
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(k) {
		return nil
	}
	copy(k[:], b)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byURL[k]
}

// WatchAt changes what the endpoint with an address watches, also if another
// gateway holds it. Errors are those of Endpoint and Link.WatchWait.
func (s *System) WatchAt(ctx context.Context, u presence.UserID, a trouter.Address, c WatchChange) (Answer, error) {
	if s.elsewhere(a) {
		return s.watchElsewhere(ctx, u, a, c)
	}
	l, err := s.Endpoint(u, a)
	if err != nil {
		return Answer{}, err
	}
	return l.WatchWait(ctx, c)
}

func (t *endpoints) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byKey)
}

// EndpointOf finds a user's endpoint by its id. ErrBadID if there is none on this
// gateway.
func (s *System) EndpointOf(k EndpointKey) (*Link, error) {
	s.endpoints.mu.Lock()
	defer s.endpoints.mu.Unlock()
	e := s.endpoints.byKey[k]
	if e == nil {
		return nil, messages.ErrBadID.With("no endpoint of this user has that id, connect it first")
	}
	return &Link{endpoint: e}, nil
}

// secret is 128 random bits, written as 32 hex digits.
type secret [16]byte

func newSecret() (s secret) {
	_, _ = rand.Read(s[:]) // never fails
	return s
}

func (s secret) String() string { return hex.EncodeToString(s[:]) }
