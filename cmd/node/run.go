package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lmittmann/tint"

	"rollcall/cluster/topology"
	"rollcall/gateway"
	"rollcall/gateway/auth"
	"rollcall/gateway/auth/devissuer"
	"rollcall/gateway/front"
	"rollcall/gateway/graph"
	"rollcall/limit"
	"rollcall/persistence"
	"rollcall/web"
)

// Main is a running program: what Start has started.
type Main struct {
	URL    string // where clients reach it
	Admin  string // URL of the admin listener, empty: none
	Failed <-chan error

	node   *gateway.Node
	dev    bool
	drains bool // before it ends
}

// Start checks the flags, opens the store and serves. log gets the log.
func Start(ctx context.Context, s *Serve, log io.Writer) (*Main, error) {
	dev, err := s.mode()
	if err != nil {
		return nil, err
	}
	cluster, err := s.ClusterFlags.config(ctx)
	if err != nil {
		return nil, err
	}
	ack, err := s.ack()
	if err != nil {
		return nil, err
	}
	if s.ResetData {
		if err := persistence.Reset(s.Data); err != nil {
			return nil, err
		}
	}
	c := gateway.Config{
		Log: logger(s.Log, log), Limits: s.limits(), Origins: s.Origin, Cluster: cluster, Drain: s.DrainTimeout,
		Ack: ack, Min: s.MinCopies,
	}
	failed := make(chan error, 1)
	c.Graph = func(f *front.Front) http.Handler { return graph.New(graph.Config{Front: f, Demo: dev}) }
	c.Store = persistence.Config{Dir: s.Data, NoSync: !s.Fsync, Fatal: func(err error) { failed <- err }}
	if c.Server, err = s.listen(); err != nil {
		return nil, err
	}
	if c.Base, err = s.base(c.Server.Public.Addr()); err == nil {
		err = s.reachable(&c)
	}
	if err == nil {
		err = s.tokens(ctx, dev, &c)
	}
	if err != nil {
		return nil, errors.Join(err, closeAll(&c.Server))
	}
	m := &Main{URL: c.Base, Failed: failed, dev: dev, drains: cluster != nil && s.DrainTimeout > 0}
	if c.Server.Admin != nil {
		m.Admin = "http://" + c.Server.Admin.Addr().String()
	}
	if m.node, err = gateway.Start(ctx, c); err != nil {
		return nil, err
	}
	return m, nil
}

// limits are those that an operator may set.
func (s *Serve) limits() front.Limits {
	return front.Limits{
		Sockets: s.MaxSockets, PerAddress: s.PerAddress,
		Handshakes: limit.Rate{Count: s.Handshakes, Per: time.Second, Burst: s.Handshakes},
	}
}

// ack is how many nodes must have a change; 0: all that hold the user.
func (s *Serve) ack() (int, error) {
	if s.MinCopies < 1 || s.MinCopies > topology.Replicas {
		return 0, fmt.Errorf("--min-copies %d: a user is held by up to %d nodes, use a number from 1 to %[2]d", s.MinCopies, topology.Replicas)
	}
	if s.Ack == "all" {
		return 0, nil
	}
	n, err := strconv.Atoi(s.Ack)
	if err != nil || n < 1 || n > topology.Replicas {
		return 0, fmt.Errorf("--ack %s: use 1, 2 or all", s.Ack)
	}
	return n, nil
}

// Close ends the node gracefully.
func (m *Main) Close() error { return m.node.Close() }

// mode decides whether this is a node for development.
func (s *Serve) mode() (dev bool, err error) {
	near := loopback(s.Listen)
	dev = s.Dev || len(s.Issuer) == 0 && near
	switch {
	case dev && !near:
		return dev, fmt.Errorf("development mode gives tokens to everybody and serves loopback addresses only, not %s: "+
			"name an --issuer, or listen on 127.0.0.1", s.Listen)
	case dev && len(s.Issuer) > 0:
		return dev, errors.New("--dev brings its own issuer: leave out --issuer, or --dev")
	case !dev && len(s.Issuer) == 0:
		return dev, fmt.Errorf("an --issuer is needed to listen on %s: without one the node cannot tell who calls", s.Listen)
	case !dev && s.Audience == "":
		return dev, errors.New("--audience is needed with --issuer: tokens for other services must not be believed")
	case (s.TLSCert == "") != (s.TLSKey == ""):
		return dev, errors.New("--tls-cert and --tls-key belong together")
	case s.MaxSockets < 1 || s.PerAddress < 1 || s.Handshakes < 1:
		return dev, errors.New("--max-sockets, --max-sockets-per-address and --max-handshakes are at least 1")
	}
	return dev, nil
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *Serve) listen() (c gateway.ServerConfig, err error) {
	if s.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey)
		if err != nil {
			return c, fmt.Errorf("TLS certificate: %w", err)
		}
		c.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	if c.Public, err = gateway.Listen(s.Listen); err != nil {
		return c, err
	}
	if s.AdminListen != "" {
		if c.Admin, err = gateway.Listen(s.AdminListen); err != nil {
			return c, errors.Join(err, c.Public.Close())
		}
	}
	return c, nil
}

func closeAll(c *gateway.ServerConfig) error {
	err := c.Public.Close()
	if c.Admin != nil {
		err = errors.Join(err, c.Admin.Close())
	}
	return err
}

// base is the URL that clients are told.
func (s *Serve) base(listening net.Addr) (string, error) {
	if s.PublicURL == "" {
		scheme := "http://"
		if s.TLSCert != "" {
			scheme = "https://"
		}
		return scheme + listening.String(), nil
	}
	u, err := url.Parse(s.PublicURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("--public-url must be as https://presence.example.com, not %q", s.PublicURL)
	}
	return strings.TrimRight(s.PublicURL, "/"), nil
}

// reachable wants of a cluster's gateway the address that clients reach it by,
// which other nodes hand on.
func (s *Serve) reachable(c *gateway.Config) error {
	host, _, _ := net.SplitHostPort(c.Server.Public.Addr().String()) // a listener's
	if c.Cluster == nil || c.Cluster.Roles&topology.Gateway == 0 || s.PublicURL != "" || !net.ParseIP(host).IsUnspecified() {
		return nil
	}
	return fmt.Errorf("--public-url is needed in a cluster with --listen %s: other nodes send clients here", s.Listen)
}

// tokens sets who is believed: the operator's issuers, or in development mode
// one of the node's own.
func (s *Serve) tokens(ctx context.Context, dev bool, c *gateway.Config) (err error) {
	if !dev {
		c.Verifier, err = auth.New(ctx, auth.Config{Issuers: s.Issuer, Audience: s.Audience})
		return err
	}
	c.Page = web.Handler()
	d := devissuer.Config{KeyFile: s.DevKey, URL: c.Base + "/dev", Audience: gateway.Audience}
	if d.KeyFile == "" {
		// Beside the store, which owns its directory.
		d.KeyFile = filepath.Clean(s.Data) + ".dev-key"
	}
	if c.Cluster != nil { // whose nodes accept each other's tokens
		d.Name = "urn:rollcall:development:" + c.Cluster.Name
		if s.DevKey == "" {
			d.KeyFile = filepath.Join(filepath.Dir(filepath.Clean(s.Data)), c.Cluster.Name+".dev-key")
		}
	}
	if err := os.MkdirAll(filepath.Dir(d.KeyFile), 0o700); err != nil {
		return fmt.Errorf("development key: %w", err)
	}
	c.Issuer, err = devissuer.New(d)
	return err
}

func logger(form string, w io.Writer) *slog.Logger {
	if form == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	f, ok := w.(*os.File)
	return slog.New(tint.NewTextHandler(w, &tint.Options{NoColor: !ok || !terminal(f)}))
}

func terminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
