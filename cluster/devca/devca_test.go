package devca

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func certificate(t *testing.T, path ...string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(read(t, path...))
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secrets")
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	r := Request{
		Dir: dir, Cluster: "berlin", Now: now, Valid: 24 * time.Hour,
		Nodes: []Node{{Name: "n1", Hosts: []string{"node1.example", "10.0.0.1", "::1"}}, {Name: "n2"}},
	}
	if err := Write(r); err != nil {
		t.Fatal(err)
	}
	ca, n1 := certificate(t, dir, "ca.pem"), certificate(t, dir, "n1", "node.pem")
	if err := n1.CheckSignatureFrom(ca); err != nil {
		t.Error(err)
	}
	if len(n1.URIs) != 1 || n1.URIs[0].String() != "rollcall://berlin/node" {
		t.Errorf("names %v", n1.URIs)
	}
	if len(n1.DNSNames) != 1 || len(n1.IPAddresses) != 2 || !n1.NotAfter.Equal(now.Add(24*time.Hour)) {
		t.Errorf("%v %v %v", n1.DNSNames, n1.IPAddresses, n1.NotAfter)
	}
	for _, f := range []string{"ca.pem", "gossip.keys"} {
		if !bytes.Equal(read(t, dir, f), read(t, dir, "n1", f)) || !bytes.Equal(read(t, dir, f), read(t, dir, "n2", f)) {
			t.Errorf("%s differs", f)
		}
	}
	if key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(read(t, dir, "gossip.keys")))); err != nil || len(key) != 32 {
		t.Errorf("the gossip's key: %d bytes, %v", len(key), err)
	}
	for _, f := range []string{"ca-key.pem", "gossip.keys", "n1/node-key.pem", "n1/gossip.keys"} {
		if info, err := os.Stat(filepath.Join(dir, f)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, info.Mode(), err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", ".new-*")); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}

	before := certificate(t, dir, "n2", "node.pem")
	keys := read(t, dir, "gossip.keys")
	r.Nodes = r.Nodes[1:]
	if err := Write(r); err != nil {
		t.Fatal(err)
	}
	after := certificate(t, dir, "n2", "node.pem")
	if !certificate(t, dir, "ca.pem").Equal(ca) || !bytes.Equal(keys, read(t, dir, "gossip.keys")) || after.Equal(before) {
		t.Error("a second time must keep the authority and the keys, and make a new certificate")
	}
	if err := after.CheckSignatureFrom(ca); err != nil {
		t.Error(err)
	}
}

func TestWriteRefuses(t *testing.T) {
	good := func() Request {
		return Request{Dir: t.TempDir(), Cluster: "c", Now: time.Now(), Valid: time.Hour, Nodes: []Node{{Name: "a"}}}
	}
	for name, c := range map[string]struct {
		spoil func(*Request)
		want  string
	}{
		"no directory": {func(r *Request) { r.Dir = "" }, "a directory"},
		"no nodes":     {func(r *Request) { r.Nodes = nil }, "at least one node"},
		"no time":      {func(r *Request) { r.Valid = 0 }, "how long"},
		"path":         {func(r *Request) { r.Nodes[0].Name = "../x" }, "cannot be the name"},
		"hidden":       {func(r *Request) { r.Nodes[0].Name = "." }, "cannot be the name"},
		"twice":        {func(r *Request) { r.Nodes = append(r.Nodes, r.Nodes[0]) }, "twice"},
		"no key": {func(r *Request) {
			if err := Write(*r); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(r.Dir, "ca-key.pem")); err != nil {
				t.Fatal(err)
			}
		}, "without its key"},
		"other key": {func(r *Request) {
			o := good()
			if err := Write(o); err != nil {
				t.Fatal(err)
			}
			if err := Write(*r); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(r.Dir, "ca-key.pem"), read(t, o.Dir, "ca-key.pem"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not the key of ca.pem"},
		"rubbish": {func(r *Request) {
			for _, f := range []string{"ca.pem", "ca-key.pem"} {
				if err := os.WriteFile(filepath.Join(r.Dir, f), []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}, "is not PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			r := good()
			c.spoil(&r)
			if err := Write(r); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}
