package native

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall/actors"
	"rollcall/gateway/front"
	"rollcall/gateway/wsconn"
	"rollcall/messages"
)

// API is the native protocol's surface.
type API struct {
	front         *front.Front
	notifications *actors.Notifications
	sockets       *wsconn.Config
	mux           *http.ServeMux

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu       sync.Mutex
	open     map[closer]struct{}
	refusing bool // new connections
	closed   bool
	live     sync.WaitGroup // sockets and streams
}

// closer is a connection that the node can tell to go elsewhere.
type closer interface{ goAway(h actors.Hint) }

// New makes the surface; Close ends its connections.
func New(f *front.Front, n *actors.Notifications) *API {
	a := &API{front: f, notifications: n, mux: http.NewServeMux(), open: make(map[closer]struct{})}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.sockets = &wsconn.Config{
		MaxMessage: maxMessage, Subprotocols: []string{protocolJSON, protocolProto}, Origin: a.origin,
	}
	a.mux.HandleFunc("GET /v1/stream", a.serveStream)
	a.mux.HandleFunc("GET /v1/events", a.serveEvents)
	a.mux.HandleFunc("POST /v1/publish", a.servePublish)
	a.mux.HandleFunc("POST /v1/watch", a.serveWatch)
	a.mux.HandleFunc("POST /trouter/", a.serveTrouter)
	a.mux.HandleFunc("GET /v1/presence", a.servePresence)
	a.mux.HandleFunc("POST /v1/presence", a.servePresence)
	a.mux.HandleFunc("GET /v1/me/blocks", a.serveBlocks)
	a.mux.HandleFunc("PUT /v1/me/blocks/{user}", a.serveBlock)
	a.mux.HandleFunc("DELETE /v1/me/blocks/{user}", a.serveBlock)
	a.mux.HandleFunc("GET /v1/changes", a.serveChanges)
	return a
}

// ServeHTTP answers everything under /v1/ and /trouter/.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	front.Route(a.mux, w, r)
}

// origin admits the pages of this node and those that the operator has named.
func (a *API) origin(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	return strings.EqualFold(u.Host, host) ||
		slices.ContainsFunc(a.front.Origins, func(o string) bool { return strings.EqualFold(o, origin) })
}

// Refuse keeps new sockets, event streams and followed feeds away; those that
// are there stay.
func (a *API) Refuse() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refusing = true
}

// enter counts a connection that lives on after its request; ErrClosing while
// the node goes away. Each is followed by one leave.
func (a *API) enter() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refusing {
		return messages.ErrClosing
	}
	a.live.Add(1)
	return nil
}

// register makes Close reach a connection that has entered.
func (a *API) register(c closer) {
	a.mu.Lock()
	a.open[c] = struct{}{}
	closed := a.closed
	a.mu.Unlock()
	if closed {
		c.goAway(actors.Hint{Delay: rand.N(leastSpread)})
	}
}

func (a *API) leave(c closer) {
	a.mu.Lock()
	delete(a.open, c)
	a.mu.Unlock()
	a.live.Done()
}

// admit takes a place for a new connection, or answers why there is none. give
// gives it back.
func (a *API) admit(w http.ResponseWriter, r *http.Request) (door front.Door, ok bool) {
	err := a.enter()
	if err == nil {
		if door, err = a.front.Doors.Enter(r.RemoteAddr); err == nil {
			return door, true
		}
		a.live.Done()
	}
	front.WriteError(w, err)
	return door, false
}

func (a *API) give(door front.Door) {
	door.Leave()
	a.live.Done()
}

const (
	leastSpread = time.Second
	// mostSpread leaves time to connect within a short grace: who comes back later
	// was offline meanwhile.
	mostSpread = 5 * time.Second
)

// spread is over what time n clients that lose the node together come back: no
// faster than it takes new sockets, if that is not too long.
func (a *API) spread(n int) time.Duration {
	r := a.front.Limits.Handshakes
	return min(max(r.Per*time.Duration(n)/time.Duration(max(r.Count, 1)), leastSpread), mostSpread)
}

// Close tells every connection that the node goes away, and to come back to the
// same address, and waits until they have ended, which they do within seconds
// whatever the clients do.
func (a *API) Close() {
	a.mu.Lock()
	a.refusing, a.closed = true, true
	all := make([]closer, 0, len(a.open))
	for c := range a.open {
		all = append(all, c)
	}
	a.mu.Unlock()
	a.cancel()
	within := a.spread(len(all))
	for _, c := range all {
		c.goAway(actors.Hint{Delay: rand.N(within)})
	}
	a.live.Wait()
}

// Panics counts the socket callbacks that panicked: bugs.
func (a *API) Panics() uint64 { return a.sockets.Panics() }

// requestTimeout bounds what one HTTP request waits for actors.
const requestTimeout = 10 * time.Second

func (a *API) context(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), requestTimeout)
}
