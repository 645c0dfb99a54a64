package peers

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/cluster/devca"
)

// secrets makes a cluster's secrets and returns the directories of its nodes.
func secrets(t testing.TB, cluster string, valid time.Duration, names ...string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	r := devca.Request{Dir: dir, Cluster: cluster, Now: time.Now(), Valid: valid}
	dirs := map[string]string{}
	for _, n := range names {
		r.Nodes = append(r.Nodes, devca.Node{Name: n, Hosts: []string{n, "127.0.0.1"}})
		dirs[n] = filepath.Join(dir, n)
	}
	if err := devca.Write(r); err != nil {
		t.Fatal(err)
	}
	return dirs
}

func load(t testing.TB, dir, cluster string) *Credentials {
	t.Helper()
	c, err := LoadCredentials(dir, cluster, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// handshake connects a client and a server and returns the error of each.
func handshake(t *testing.T, client func(net.Conn) error, server *Credentials) (atClient, atServer error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	got := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			got <- err
			return
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		secure, _, err := server.transport().ServerHandshake(conn)
		if err == nil {
			_, err = secure.Write([]byte("x"))
		}
		got <- err
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	atClient = client(conn)
	_ = conn.Close()
	return atClient, <-got
}

func as(c *Credentials) func(net.Conn) error {
	return func(conn net.Conn) error {
		secure, _, err := c.transport().ClientHandshake(context.Background(), "whoever", conn)
		if err != nil {
			return err
		}
		_, err = secure.Read(make([]byte, 1)) // TLS 1.3: the server refuses after the client is done
		return err
	}
}

// careless connects like as, but trusts every server.
func careless(c *Credentials) func(net.Conn) error {
	return func(conn net.Conn) error {
		secure := tls.Client(conn, &tls.Config{
			InsecureSkipVerify: true, NextProtos: []string{"h2"},
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &c.current.Load().certificate, nil
			},
		})
		_, err := secure.Read(make([]byte, 1))
		return err
	}
}

func TestOnlyNodesOfTheClusterConnect(t *testing.T) {
	dirs := secrets(t, "test", time.Hour, "a", "b")
	a, b := load(t, dirs["a"], "test"), load(t, dirs["b"], "test")
	if c, s := handshake(t, as(a), b); c != nil || s != nil {
		t.Fatalf("two nodes of a cluster: %v, %v", c, s)
	}
	strange := load(t, secrets(t, "test", time.Hour, "x")["x"], "test")
	late := load(t, secretsLike(t, dirs["b"], "test", time.Minute), "test")
	late.now = func() time.Time { return time.Now().Add(time.Hour) }
	other := load(t, secretsLike(t, dirs["b"], "other", time.Hour), "other")
	for name, c := range map[string]struct {
		client             func(net.Conn) error
		server             *Credentials
		atClient, atServer string
	}{
		"other authority":         {careless(strange), b, "", "unknown authority"},
		"server of other":         {as(a), strange, "unknown authority", ""},
		"other cluster":           {careless(other), b, "", "does not name rollcall://test/node"},
		"server of other cluster": {as(a), other, "does not name rollcall://test/node", ""},
		"expired":                 {as(a), late, "", "expired"},
		"no certificate": {func(conn net.Conn) error {
			secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
			_, err := secure.Read(make([]byte, 1))
			return err
		}, b, "certificate required", "didn't provide a certificate"},
		"old TLS": {func(conn net.Conn) error {
			return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}).Handshake()
		}, b, "protocol version", "unsupported versions"},
		"plain": {func(conn net.Conn) error {
			_, err := conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
			return errors.Join(err, errors.New("plain"))
		}, b, "plain", "first record does not look like a TLS handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			atClient, atServer := handshake(t, c.client, c.server)
			for _, x := range []struct {
				err  error
				want string
			}{{atClient, c.atClient}, {atServer, c.atServer}} {
				if x.err == nil || !strings.Contains(x.err.Error(), x.want) {
					t.Errorf("client: %v; server: %v", atClient, atServer)
				}
			}
		})
	}
}

// secretsLike makes another node with the authority of an existing one.
func secretsLike(t *testing.T, dir, cluster string, valid time.Duration) string {
	t.Helper()
	parent := filepath.Dir(dir)
	r := devca.Request{
		Dir: parent, Cluster: cluster, Now: time.Now(), Valid: valid,
		Nodes: []devca.Node{{Name: "like-" + cluster + valid.String()}},
	}
	if err := devca.Write(r); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(parent, r.Nodes[0].Name)
}

func copyFiles(t *testing.T, to, from string, names ...string) {
	t.Helper()
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(from, n))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, n), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBadCertificatesAreExplained(t *testing.T) {
	good := secrets(t, "test", time.Hour, "a", "b")
	other := secrets(t, "test", time.Hour, "x")["x"]
	for name, c := range map[string]struct {
		spoil   func(dir string) error
		cluster string
		want    string
	}{
		"no authority": {func(d string) error { return os.Remove(filepath.Join(d, "ca.pem")) }, "test", "ca.pem"},
		"no key":       {func(d string) error { return os.Remove(filepath.Join(d, "node-key.pem")) }, "test", "node-key.pem"},
		"empty":        {func(d string) error { return os.WriteFile(filepath.Join(d, "ca.pem"), nil, 0o600) }, "test", "no certificate"},
		"rubbish":      {func(d string) error { return os.WriteFile(filepath.Join(d, "node.pem"), []byte("x"), 0o600) }, "test", "PEM"},
		"huge": {func(d string) error {
			return os.WriteFile(filepath.Join(d, "ca.pem"), make([]byte, maxSecret+1), 0o600)
		}, "test", "1 MiB"},
		"another's key":    {func(d string) error { copyFiles(t, d, good["b"], "node-key.pem"); return nil }, "test", "does not match"},
		"other authority":  {func(d string) error { copyFiles(t, d, other, "ca.pem"); return nil }, "test", "unknown authority"},
		"other cluster":    {func(string) error { return nil }, "other", "does not name rollcall://other/node"},
		"bad cluster name": {func(string) error { return nil }, "Not/OK", "must be 1 to 64"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			copyFiles(t, dir, good["a"], "ca.pem", "node.pem", "node-key.pem")
			if err := c.spoil(dir); err != nil {
				t.Fatal(err)
			}
			_, err := LoadCredentials(dir, c.cluster, slog.New(slog.DiscardHandler), time.Now)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
	expired := func() time.Time { return time.Now().Add(2 * time.Hour) }
	if _, err := LoadCredentials(good["a"], "test", slog.New(slog.DiscardHandler), expired); err == nil ||
		!strings.Contains(err.Error(), "expired") {
		t.Errorf("expired: %v", err)
	}
}

// Certificates change while the node runs; bad ones do not count and are logged
// once.
func TestCertificatesAreReadAgain(t *testing.T) {
	first, second := secrets(t, "test", time.Hour, "a", "b"), secrets(t, "test", time.Hour, "a", "b")
	dir := t.TempDir()
	copyFiles(t, dir, first["a"], "ca.pem", "node.pem", "node-key.pem")
	var log syncBuffer
	a, err := LoadCredentials(dir, "test", slog.New(slog.NewTextHandler(&log, nil)), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	meets := func(b *Credentials) bool {
		c, s := handshake(t, as(a), b)
		c2, s2 := handshake(t, as(b), a)
		return errors.Join(c, s, c2, s2) == nil
	}
	old, fresh := load(t, first["b"], "test"), load(t, second["b"], "test")
	a.Reload()
	if !meets(old) || meets(fresh) || log.String() != "" {
		t.Fatalf("files that did not change: %s", log.String())
	}
	copyFiles(t, dir, second["a"], "node.pem") // the first of three files
	for range 3 {
		a.Reload()
	}
	if !meets(old) || strings.Count(log.String(), "not used") != 1 {
		t.Errorf("a half-changed set was used, or not logged once: %s", log.String())
	}
	copyFiles(t, dir, second["a"], "ca.pem", "node.pem", "node-key.pem")
	a.Reload()
	if meets(old) || !meets(fresh) {
		t.Error("the new set is not used")
	}
	if err := os.Remove(filepath.Join(dir, "node.pem")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		a.Reload()
	}
	if !meets(fresh) || strings.Count(log.String(), "not used") != 2 {
		t.Errorf("a missing file: %s", log.String())
	}
	// Both authorities are trusted while nodes are changed one by one.
	both, err := os.ReadFile(filepath.Join(first["a"], "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := os.ReadFile(filepath.Join(second["a"], "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	copyFiles(t, dir, second["a"], "node.pem")
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), append(both, more...), 0o600); err != nil {
		t.Fatal(err)
	}
	a.Reload()
	if c, s := handshake(t, careless(old), a); s != nil {
		t.Errorf("a node of the old authority: %v, %v", c, s)
	}
}

func TestSecureNodes(t *testing.T) {
	dirs := secrets(t, "test", time.Hour, "a", "b")
	a := startProcess(t, childSettings{ID: "a", Secrets: dirs["a"]})
	b := startProcess(t, childSettings{ID: "b", Secrets: dirs["b"]})
	rogue := startProcess(t, childSettings{ID: "x", Secrets: secrets(t, "test", time.Hour, "x")["x"]})
	plain := startProcess(t, childSettings{ID: "y"})
	meet(a, b, rogue, plain)
	for _, p := range []*process{a, rogue, plain} {
		p.do("send b 1000 100 wait")
	}
	b.eventually("messages arrive", routed(1000))
	r := b.eventually("others are refused", func(r childReport) bool { return r.Refused["handshake"] >= 2 })
	if r.Routed != 1000 || r.Disorder != 0 {
		t.Errorf("%d messages, %d out of order", r.Routed, r.Disorder)
	}
	if n := strings.Count(b.log.String(), "a connection was refused"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, b.log.String())
	}
	if n := strings.Count(b.log.String(), "another node was not accepted"); n > 2 {
		t.Errorf("logged %d times:\n%s", n, b.log.String())
	}
}
