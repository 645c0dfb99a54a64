package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"rollcall/actors"
	"rollcall/cluster/topology"
	"rollcall/copies"
	"rollcall/gateway/auth"
	"rollcall/gateway/auth/devissuer"
	"rollcall/gateway/front"
	"rollcall/gateway/native"
	"rollcall/persistence"
	"rollcall/wheel"
)

// Config of a Node. Server.Public, Store.Dir, Base and one of Verifier and
// Issuer are required.
type Config struct {
	Server   ServerConfig
	Store    persistence.Config // Log and Registerer are the node's
	Base     string             // public URL, as http://127.0.0.1:8080
	Verifier *auth.Verifier     // nil: the development issuer's tokens alone
	Issuer   *devissuer.Issuer  // development mode: hands out tokens under /dev
	Graph    func(*front.Front) http.Handler
	Page     http.Handler // at /, nil: none
	Limits   front.Limits
	Origins  []string       // further origins whose pages may open sockets
	Cluster  *ClusterConfig // nil: the node is alone
	Drain    time.Duration  // bound of a drain; 0: 30 s
	Ack      int            // nodes that must have stored a change before it is answered; 0: all that hold the user
	Min      int            // nodes below which changes are refused; 0: none
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
}

// Audience is what development tokens are for.
const Audience = "api://rollcall"

// Node is a running node.
type Node struct {
	Front *front.Front

	wheel    *wheel.Wheel
	store    *persistence.Store
	copies   *copies.Copies
	actors   *actors.System
	native   *native.API
	server   *server
	registry *prometheus.Registry
	self     topology.Member // as others see it
	cluster  *membership     // nil: the node is alone
	log      *slog.Logger

	now  func() time.Time
	stop context.CancelFunc
	wg   sync.WaitGroup // the wake-up sweep
	once sync.Once
	err  error // of Close

	closing atomic.Bool
	memory  memoryGuard
	drain   drain
}

// Start opens the store and serves. The listeners are the node's from here on.
// When it fails nothing is left running or listening.
func Start(ctx context.Context, c Config) (*Node, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	n := &Node{log: c.Log, now: c.Now, registry: prometheus.NewRegistry(), wheel: wheel.New(wheel.DefaultTick, wheel.DefaultSlots)}
	n.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	background, stop := context.WithCancel(context.Background())
	n.stop = stop
	n.drain.init(c.Drain)
	n.wheel.Start(context.Background())
	if err := n.start(ctx, &c); err != nil {
		closeListeners(&c.Server)
		return nil, errors.Join(err, n.Close())
	}
	n.wg.Go(func() { n.wakeUp(background) })
	return n, nil
}

func closeListeners(c *ServerConfig) {
	for _, l := range []net.Listener{c.Public, c.Admin} {
		if l != nil {
			_ = l.Close() // closed twice at worst
		}
	}
}

func (n *Node) start(ctx context.Context, c *Config) (err error) {
	if err := n.open(c); err != nil {
		return err
	}
	if c.Verifier == nil {
		if c.Verifier, err = devVerifier(ctx, c); err != nil {
			return err
		}
	}
	n.Front = front.New(front.Config{
		Actors: n.actors, Verifier: c.Verifier, Base: c.Base, Now: c.Now, Wheel: n.wheel,
		Log: c.Log, Registerer: n.registry, Limits: c.Limits, Origins: c.Origins,
	})
	notifications := actors.NewNotifications(n.store, followersPerTenant)
	notifications.Require(n.wholeFeed)
	n.native = native.New(n.Front, notifications)
	n.observe()
	n.memory.start(n)
	if err := n.join(c); err != nil {
		return err
	}
	n.server = newServer(c, n)
	return n.server.start()
}

// followersPerTenant bounds who reads a tenant's change feed at once.
const followersPerTenant = 20

// wholeFeed refuses the feed of a node that holds only some of the users.
func (n *Node) wholeFeed() error {
	if !n.actors.Table().HoldsAll(n.self.ID) {
		return front.ErrFeedPart
	}
	return nil
}

func (n *Node) open(c *Config) (err error) {
	store := c.Store
	store.Log, store.Registerer, store.Now = c.Log, n.registry, c.Now
	if n.store, err = persistence.Open(store); err != nil {
		return err
	}
	return n.openActors(c)
}

func devVerifier(ctx context.Context, c *Config) (*auth.Verifier, error) {
	if c.Issuer == nil {
		return nil, errors.New("gateway: neither a verifier of tokens nor a development issuer is configured")
	}
	v, err := auth.New(ctx, auth.Config{Keys: c.Issuer.Keys(), Audience: Audience, Now: c.Now})
	if err != nil {
		return nil, fmt.Errorf("gateway: development issuer: %w", err)
	}
	return v, nil
}

// observe exports what the surfaces count by themselves.
func (n *Node) observe() {
	n.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "rollcall", Name: "sockets", Help: "Open sockets, event streams and followed feeds.",
	}, func() float64 { return float64(n.Front.Doors.Sockets()) }))
	n.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "rollcall", Name: "socket_panics_total", Help: "Socket callbacks that ended in a panic: bugs.",
	}, func() float64 { return float64(n.native.Panics()) }))
}

// ready says why the node should get no traffic, nil when it should.
func (n *Node) ready() error {
	if n.closing.Load() {
		return errors.New("the node goes away")
	}
	if n.drain.draining() {
		return errors.New("draining")
	}
	if !n.store.Writable() {
		return errors.New("the store takes no writes")
	}
	return n.cluster.ready()
}

// Close ends the node gracefully: it takes no new connections, tells clients to
// go elsewhere, leaves its cluster, lets the actors finish and closes the store.
// It takes seconds at most, whatever clients do.
func (n *Node) Close() error {
	n.once.Do(func() {
		n.closing.Store(true)
		n.drain.stop()
		n.wheel.Stop(&n.memory.timer)
		n.stop()
		n.wg.Wait()
		if n.server != nil {
			n.server.stopAccepting()
		}
		if n.native != nil {
			n.native.Close()
		}
		if n.server != nil {
			n.err = n.server.close()
		}
		n.leave()
		if n.actors != nil {
			n.actors.Close()
		}
		n.err = errors.Join(n.err, n.cluster.close())
		if n.copies != nil {
			n.copies.Close()
		}
		n.wheel.Close()
		if n.store != nil {
			n.err = errors.Join(n.err, n.store.Close())
		}
	})
	return n.err
}
