package peers

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"

	"rollcall/cluster/devca"
)

// Credentials are the certificates of a node: the authority that the cluster
// trusts (ca.pem, one or more), this node's certificate (node.pem, with
// intermediates if there are any) and its key (node-key.pem). Both ends of a
// connection must show a certificate of the authority that names the cluster as
// devca.Identity does; host names and addresses in it do not matter, since the
// authority is the cluster's own.
type Credentials struct {
	dir, identity string
	log           *slog.Logger
	now           func() time.Time
	current       atomic.Pointer[material]

	mu    sync.Mutex
	tried [sha256.Size]byte // of the files when they were read last
}

type material struct {
	authority   *x509.CertPool
	certificate tls.Certificate
}

// maxSecret bounds each file.
const maxSecret = 1 << 20

// LoadCredentials reads the certificates in dir. The error says which file is
// wrong and why.
func LoadCredentials(dir, cluster string, log *slog.Logger, now func() time.Time) (*Credentials, error) {
	if err := validCluster(cluster); err != nil {
		return nil, err
	}
	c := &Credentials{dir: dir, identity: devca.Identity(cluster), log: log, now: now}
	files, sum, err := c.read()
	if err != nil {
		return nil, err
	}
	c.tried = sum
	m, err := c.parse(files)
	if err != nil {
		return nil, err
	}
	c.current.Store(m)
	return c, nil
}

// Reload reads the files again if they have changed. Bad ones are logged once
// and the old ones stay in use. New connections use what is in force when they
// are made.
func (c *Credentials) Reload() {
	c.mu.Lock()
	defer c.mu.Unlock()
	files, sum, err := c.read()
	if err != nil {
		sum = sha256.Sum256([]byte(err.Error()))
	}
	if sum == c.tried {
		return
	}
	c.tried = sum
	var m *material
	if err == nil {
		m, err = c.parse(files)
	}
	if err != nil {
		c.log.Error("the new certificates are not used, the old ones stay", "err", err)
		return
	}
	c.current.Store(m)
	c.log.Info("certificates read", "dir", c.dir, "expires", m.certificate.Leaf.NotAfter)
}

type secretFiles struct{ ca, node, key []byte }

func (c *Credentials) read() (f secretFiles, sum [sha256.Size]byte, err error) {
	h := sha256.New()
	for _, file := range []struct {
		name string
		into *[]byte
	}{{"ca.pem", &f.ca}, {"node.pem", &f.node}, {"node-key.pem", &f.key}} {
		b, err := readSecret(filepath.Join(c.dir, file.name))
		if err != nil {
			return f, sum, fmt.Errorf("peers: certificates: %w", err)
		}
		*file.into = b
		_, _ = fmt.Fprintf(h, "%d:", len(b)) // never fails
		_, _ = h.Write(b)
	}
	return f, [sha256.Size]byte(h.Sum(nil)), nil
}

func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(b) > maxSecret {
		err = fmt.Errorf("%s is larger than 1 MiB", path)
	}
	return b, err
}

// parse checks the files as peers will.
func (c *Credentials) parse(f secretFiles) (*material, error) {
	m := &material{authority: x509.NewCertPool()}
	if !m.authority.AppendCertsFromPEM(f.ca) {
		return nil, fmt.Errorf("peers: %s holds no certificate in PEM", filepath.Join(c.dir, "ca.pem"))
	}
	var err error
	if m.certificate, err = tls.X509KeyPair(f.node, f.key); err != nil {
		return nil, fmt.Errorf("peers: node.pem and node-key.pem in %s: %w", c.dir, err)
	}
	chain, err := certificates(m.certificate.Certificate)
	if err != nil {
		return nil, fmt.Errorf("peers: node.pem in %s: %w", c.dir, err)
	}
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		if err := c.verify(m, chain, use); err != nil {
			return nil, fmt.Errorf("peers: node.pem in %s would be refused by other nodes: %w", c.dir, err)
		}
	}
	return m, nil
}

func certificates(raw [][]byte) (chain []*x509.Certificate, err error) {
	for _, der := range raw {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	return chain, nil
}

// verify checks a peer's chain, leaf first, and that it names the cluster.
func (c *Credentials) verify(m *material, chain []*x509.Certificate, use x509.ExtKeyUsage) error {
	if len(chain) == 0 {
		return errors.New("no certificate was shown")
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: m.authority, Intermediates: between, CurrentTime: c.now(), KeyUsages: []x509.ExtKeyUsage{use},
	})
	if err != nil {
		return err
	}
	for _, u := range chain[0].URIs {
		if u.String() == c.identity {
			return nil
		}
	}
	return fmt.Errorf("the certificate does not name %s", c.identity)
}

// transport is TLS 1.3 with certificates on both sides, for either end.
func (c *Credentials) transport() credentials.TransportCredentials {
	check := func(use x509.ExtKeyUsage) func(tls.ConnectionState) error {
		return func(s tls.ConnectionState) error {
			return c.verify(c.current.Load(), s.PeerCertificates, use)
		}
	}
	return credentials.NewTLS(&tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{"h2"},
		SessionTicketsDisabled: true, // a resumed session would outlive a change of authority
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &c.current.Load().certificate, nil
		},
		// Not insecure: VerifyConnection checks the chain and the name of the
		// cluster in place of a host name.
		InsecureSkipVerify: true,
		VerifyConnection:   check(x509.ExtKeyUsageServerAuth),
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			m := c.current.Load()
			return &tls.Config{
				MinVersion:             tls.VersionTLS13,
				NextProtos:             []string{"h2"},
				SessionTicketsDisabled: true,
				Certificates:           []tls.Certificate{m.certificate},
				ClientAuth:             tls.RequireAndVerifyClientCert,
				ClientCAs:              m.authority,
				VerifyConnection:       check(x509.ExtKeyUsageClientAuth),
			}, nil
		},
	})
}
