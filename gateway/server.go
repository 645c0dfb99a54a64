package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rollcall/cluster/topology"
	"rollcall/gateway/front"
)

// ServerConfig says where a node listens.
type ServerConfig struct {
	Public net.Listener
	Admin  net.Listener // metrics, pprof, policies; nil: none
	TLS    *tls.Config  // of the public listener; nil: plain
}

// Times and sizes of HTTP.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	idleTimeout   = 60 * time.Second
	maxHeader     = 16 << 10
	drainTimeout  = 5 * time.Second // for requests under way when the node closes
	adminTimeout  = time.Second     // for the same of the administration: who waits for a drain is told its end
)

// server is the node's listeners.
type server struct {
	node   *Node
	config ServerConfig
	public *http.Server
	admin  *http.Server
	wg     sync.WaitGroup

	policies *policies
}

func newServer(c *Config, n *Node) *server {
	s := &server{node: n, config: c.Server, policies: &policies{front: n.Front}}
	s.public = &http.Server{Handler: n.Front.Wrap(s.publicRoutes(c)), ConnState: n.Front.Doors.ConnState}
	s.admin = &http.Server{Handler: n.Front.Wrap(s.adminRoutes())}
	for _, h := range []*http.Server{s.public, s.admin} {
		h.ReadHeaderTimeout, h.ReadTimeout, h.IdleTimeout = headerTimeout, readTimeout, idleTimeout
		h.MaxHeaderBytes = maxHeader
		h.ErrorLog = slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug) // broken handshakes and the like
		h.Protocols = new(http.Protocols)
		h.Protocols.SetHTTP1(true) // sockets and event streams need a connection of their own
	}
	return s
}

func (s *server) publicRoutes(c *Config) http.Handler {
	if s.node.self.Roles&topology.Gateway == 0 {
		return s.healthRoutes()
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", s.node.native)
	mux.Handle("/trouter/", s.node.native)
	mux.HandleFunc("/livez", live)
	mux.HandleFunc("/readyz", s.ready)
	mux.Handle("/admin/v1/tenants/", s.policies)
	if c.Graph != nil {
		graph := c.Graph(s.node.Front)
		mux.Handle("/v1.0/", graph)
		mux.Handle("/beta/", graph)
	}
	if c.Issuer != nil {
		mux.Handle("/dev/", c.Issuer.Handler())
	}
	if c.Page != nil {
		mux.Handle("/", c.Page)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { front.Route(mux, w, r) })
}

func (s *server) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.node.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/livez", live)
	mux.HandleFunc("/readyz", s.ready)
	mux.Handle("/admin/v1/tenants/", s.policies)
	mux.HandleFunc("GET /admin/v1/cluster", s.cluster)
	mux.HandleFunc("POST /admin/v1/drain", s.drain)
	store := &reading{node: s.node}
	mux.HandleFunc("GET /admin/v1/backup", store.backup)
	mux.HandleFunc("GET /admin/v1/check", store.check)
	mux.HandleFunc("GET /admin/v1/digests", store.digests)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { front.Route(mux, w, r) })
}

// live says that the process answers.
func live(w http.ResponseWriter, _ *http.Request) {
	front.WriteJSON(w, http.StatusOK, map[string]string{"status": "live"})
}

// ready says whether the node should get traffic.
func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.node.ready(); err != nil {
		front.WriteJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready", "reason": err.Error()})
		return
	}
	front.WriteJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

func (s *server) start() error {
	if s.config.Public == nil {
		return errors.New("gateway: no public listener")
	}
	public := s.config.Public
	if s.config.TLS != nil {
		public = tls.NewListener(public, s.config.TLS)
	}
	s.serve(s.public, public)
	if s.config.Admin != nil {
		s.serve(s.admin, s.config.Admin)
	}
	return nil
}

func (s *server) serve(h *http.Server, l net.Listener) {
	s.wg.Go(func() {
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.node.log.Error("listener failed", "address", l.Addr().String(), "error", err)
		}
	})
}

// stopAccepting closes the public listener; what is connected stays.
func (s *server) stopAccepting() {
	s.public.SetKeepAlivesEnabled(false)
	_ = s.config.Public.Close() // closed twice at worst
}

// close waits for the requests under way, then ends both listeners.
func (s *server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	err := s.public.Shutdown(ctx)
	if err != nil {
		_ = s.public.Close() // what is left is cut off
	}
	told, stop := context.WithTimeout(context.Background(), adminTimeout)
	defer stop()
	if s.admin.Shutdown(told) != nil {
		_ = s.admin.Close() // nobody waits for a metric
	}
	s.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
