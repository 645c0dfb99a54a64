package devca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Identity is the URI by which a certificate says that its holder is a node of
// a cluster.
func Identity(cluster string) string {
	return (&url.URL{Scheme: "rollcall", Host: cluster, Path: "/node"}).String()
}

// Request says what Write is to make.
type Request struct {
	Dir     string
	Cluster string
	Nodes   []Node
	Now     time.Time
	Valid   time.Duration // of the nodes' certificates; the authority's are valid for ten years
}

// Node is a node to make a certificate for. Its name is that of its directory
// below Request.Dir. Hosts are names and addresses for those who check them;
// nodes do not.
type Node struct {
	Name  string
	Hosts []string
}

const (
	authorityTime = 10 * 365 * 24 * time.Hour
	slack         = time.Hour // for clocks that are behind
	keyBytes      = 32
)

// Write makes the authority (ca.pem, ca-key.pem) and the gossip's key
// (gossip.keys) in the directory unless they are there, and in a directory for
// each node ca.pem, node.pem, node-key.pem and gossip.keys. A node's
// certificate is made anew; its directory is all that the node needs. Keys are
// readable by their owner only.
func Write(r Request) error {
	if err := r.validate(); err != nil {
		return err
	}
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return fmt.Errorf("devca: %w", err)
	}
	ca, key, err := r.authority()
	if err != nil {
		return err
	}
	gossip, err := r.gossipKeys()
	if err != nil {
		return err
	}
	for _, n := range r.Nodes {
		if err := r.node(n, ca, key, gossip); err != nil {
			return err
		}
	}
	return nil
}

func (r *Request) validate() error {
	switch {
	case r.Dir == "" || r.Cluster == "":
		return errors.New("devca: a directory and the name of a cluster are required")
	case len(r.Nodes) == 0:
		return errors.New("devca: name at least one node")
	case r.Valid <= 0 || r.Now.IsZero():
		return errors.New("devca: the time and how long certificates are valid are required")
	}
	seen := map[string]bool{}
	for _, n := range r.Nodes {
		if n.Name == "" || len(n.Name) > 64 || n.Name[0] == '.' || strings.ContainsAny(n.Name, "/\\ \t\n\x00") {
			return fmt.Errorf("devca: %q cannot be the name of a node's directory", n.Name)
		}
		if seen[n.Name] {
			return fmt.Errorf("devca: node %q is named twice", n.Name)
		}
		seen[n.Name] = true
	}
	return nil
}

// authority reads the authority in the directory or makes one.
func (r *Request) authority() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certPath, keyPath := filepath.Join(r.Dir, "ca.pem"), filepath.Join(r.Dir, "ca-key.pem")
	certPEM, err := os.ReadFile(certPath)
	if errors.Is(err, fs.ErrNotExist) {
		return r.makeAuthority(certPath, keyPath)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("devca: %w", err)
	}
	keyPEM, err := os.ReadFile(keyPath)
	if err != nil {
		return nil, nil, fmt.Errorf("devca: there is an authority without its key: %w", err)
	}
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return nil, nil, fmt.Errorf("devca: ca.pem or ca-key.pem in %s is not PEM", r.Dir)
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("devca: %s: %w", certPath, err)
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("devca: %s: %w", keyPath, err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, fmt.Errorf("devca: ca-key.pem in %s is not the key of ca.pem", r.Dir)
	}
	return cert, key, nil
}

func (r *Request) makeAuthority(certPath, keyPath string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("devca: %w", err)
	}
	cert := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "Rollcall development authority of " + r.Cluster},
		NotBefore: r.Now.Add(-slack), NotAfter: r.Now.Add(authorityTime),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:     true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	der, err := sign(cert, cert, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	if err := writeKey(keyPath, key); err != nil {
		return nil, nil, err
	}
	if err := writePEM(certPath, "CERTIFICATE", der, 0o644); err != nil {
		return nil, nil, err
	}
	made, err := x509.ParseCertificate(der)
	return made, key, err
}

// gossipKeys reads the gossip's keys or makes one.
func (r *Request) gossipKeys() ([]byte, error) {
	path := filepath.Join(r.Dir, "gossip.keys")
	keys, err := os.ReadFile(path)
	if err == nil {
		return keys, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("devca: %w", err)
	}
	key := make([]byte, keyBytes)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("devca: %w", err)
	}
	keys = []byte(base64.StdEncoding.EncodeToString(key) + "\n")
	return keys, write(path, keys, 0o600)
}

func (r *Request) node(n Node, ca *x509.Certificate, caKey *ecdsa.PrivateKey, gossip []byte) error {
	identity, err := url.Parse(Identity(r.Cluster))
	if err != nil {
		return fmt.Errorf("devca: cluster %q: %w", r.Cluster, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("devca: %w", err)
	}
	cert := &x509.Certificate{
		Subject:   pkix.Name{CommonName: n.Name},
		NotBefore: r.Now.Add(-slack), NotAfter: r.Now.Add(r.Valid),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		URIs:        []*url.URL{identity},
	}
	for _, h := range n.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, h)
		}
	}
	der, err := sign(cert, ca, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	dir := filepath.Join(r.Dir, n.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("devca: %w", err)
	}
	return errors.Join(
		writePEM(filepath.Join(dir, "ca.pem"), "CERTIFICATE", ca.Raw, 0o644),
		writePEM(filepath.Join(dir, "node.pem"), "CERTIFICATE", der, 0o644),
		writeKey(filepath.Join(dir, "node-key.pem"), key),
		write(filepath.Join(dir, "gossip.keys"), gossip, 0o600))
}

func sign(cert, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("devca: %w", err)
	}
	cert.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("devca: sign a certificate: %w", err)
	}
	return der, nil
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("devca: %w", err)
	}
	return writePEM(path, "EC PRIVATE KEY", der, 0o600)
}

func writePEM(path, kind string, der []byte, mode fs.FileMode) error {
	return write(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

// write replaces a file as a whole.
func write(path string, b []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("devca: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("devca: write %s: %w", path, err)
	}
	return nil
}
