package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// asProgram makes the test's own binary the program.
const asProgram = "ROLLCALL_TEST_AS_PROGRAM"

func init() {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
}

// node is the real program as a process.
func node(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Env = append(os.Environ(), asProgram+"=1")
	return c
}

func flags(t *testing.T, args ...string) (*Serve, error) {
	t.Helper()
	var c commands
	k, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Parse(args)
	return &c.Serve, err
}

func TestProcessServesUntilItIsTold(t *testing.T) {
	data := filepath.Join(t.TempDir(), "store")
	c := node(t, "--listen", "127.0.0.1:0", "--admin-listen=", "--data", data, "--no-fsync", "--log", "json")
	var log bytes.Buffer
	c.Stderr = &log
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	url := ""
	for s := bufio.NewScanner(out); url == "" && s.Scan(); {
		said = append(said, s.Text())
		if name, value, ok := strings.Cut(strings.TrimSpace(s.Text()), " "); ok && name == "Page" {
			url = strings.TrimSuffix(strings.TrimSpace(value), "/")
		}
	}
	if url == "" || !strings.Contains(strings.Join(said, "\n"), "DEVELOPMENT MODE") {
		t.Fatalf("it said %q\n%s", said, &log)
	}

	var stdout, stderr bytes.Buffer
	tool := node(t, "token", "--server", url, "--user", "alice")
	tool.Stdout, tool.Stderr = &stdout, &stderr
	if err := tool.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("token: %v %s", err, &stderr)
	}
	token := stdout.String()
	if strings.Count(token, ".") != 2 || strings.Count(token, "\n") != 1 || !strings.HasSuffix(token, "\n") {
		t.Errorf("token printed %q", token)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, &log)
	}
	if strings.Contains(log.String(), strings.TrimSpace(token)) {
		t.Error("the token is in the log")
	}
}

func TestProcessSaysWhyItDoesNotStart(t *testing.T) {
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"a foreign directory": {[]string{"--listen", "127.0.0.1:0", "--admin-listen=", "--data", foreign}, "not a Rollcall store"},
		"no issuer":           {[]string{"--listen", "0.0.0.0:0", "--data", t.TempDir()}, "--issuer is needed"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := node(t, tt.args...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), tt.says) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	if b, err := os.ReadFile(filepath.Join(foreign, "thesis.txt")); err != nil || string(b) != "mine" {
		t.Errorf("the foreign file: %q, %v", b, err)
	}
}

func TestModes(t *testing.T) {
	for args, want := range map[string]string{
		"":                                "dev",
		"--dev":                           "dev",
		"--listen=localhost:0":            "dev",
		"--listen=[::1]:0":                "dev",
		"--listen=0.0.0.0:0":              "an --issuer is needed",
		"--listen=:8080":                  "an --issuer is needed",
		"--listen=10.0.0.1:0 --dev":       "loopback addresses only",
		"--issuer=https://i":              "--audience is needed",
		"--issuer=https://i --audience=a": "served",
		"--issuer=https://i --audience=a --listen=0.0.0.0:8443": "served",
		"--issuer=https://i --audience=a --dev":                 "leave out",
		"--tls-cert=serve_test.go":                              "belong together",
		"--max-handshakes=0":                                    "at least 1",
	} {
		s, err := flags(t, append([]string{"serve"}, strings.Fields(args)...)...)
		if err != nil {
			t.Fatalf("%s: %v", args, err)
		}
		dev, err := s.mode()
		switch {
		case want == "dev" || want == "served":
			if err != nil || dev != (want == "dev") {
				t.Errorf("%q: development %v, %v", args, dev, err)
			}
		case err == nil || !strings.Contains(err.Error(), want):
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}

func TestPublicURL(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	for given, want := range map[string]string{
		"":                          "http://127.0.0.1:8080",
		"https://presence.example/": "https://presence.example",
		"https://example/rollcall":  "https://example/rollcall",
		"presence.example":          "error",
		"ftp://presence.example":    "error",
		"https://x/?a=b":            "error",
	} {
		got, err := (&Serve{PublicURL: given}).base(at)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %q, want %q (%v)", given, got, want, err)
		}
	}
}

func TestStorageErrorEndsTheProgram(t *testing.T) {
	m := program(t, t.TempDir(), "127.0.0.1:0")
	failed := make(chan error, 1)
	m.Failed = failed
	failed <- errors.New("the disk is gone")
	began := time.Now()
	err := m.wait(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("ended with %v", err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %s", took)
	}
	stopped(t, m) // waits for what abandon began
}

func TestDevelopmentTokensSurviveARestart(t *testing.T) {
	data := t.TempDir()
	m := program(t, data, "127.0.0.1:0")
	token, err := (&Token{Server: m.URL, User: "alice"}).fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stopped(t, m)
	m = program(t, data, strings.TrimPrefix(m.URL, "http://"))
	defer stopped(t, m)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.URL+"/v1/me/blocks", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // not read
	if res.StatusCode != http.StatusOK {
		t.Errorf("a token from before the restart was answered %d", res.StatusCode)
	}
}

func TestTokenErrors(t *testing.T) {
	m := program(t, t.TempDir(), "127.0.0.1:0")
	defer stopped(t, m)
	for name, tt := range map[string]struct {
		token Token
		says  string
	}{
		"nobody listens": {Token{Server: "http://127.0.0.1:1", User: "alice"}, "no node answers"},
		"nobody known":   {Token{Server: m.URL, User: "mallory"}, "not in the demo directory"},
		"not a node":     {Token{Server: m.URL + "/v1", User: "alice"}, "no node in development mode"},
	} {
		if _, err := tt.token.fetch(t.Context()); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if token, err := (&Token{Server: m.URL, App: true}).fetch(t.Context()); err != nil || strings.Count(token, ".") != 2 {
		t.Errorf("application: %q, %v", token, err)
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key, pool := certificate(t, dir)
	s, err := flags(t, "serve", "--listen=127.0.0.1:0", "--admin-listen=", "--data="+dir+"/store", "--no-fsync", "--tls-cert="+cert, "--tls-key="+key)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Start(t.Context(), s, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer stopped(t, m)
	c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	res, err := c.Get(m.URL + "/livez")
	if err != nil || !strings.HasPrefix(m.URL, "https://") {
		t.Fatalf("%s: %v", m.URL, err)
	}
	defer func() { _ = res.Body.Close() }() // not read
	if res.StatusCode != http.StatusOK || res.TLS.Version < tls.VersionTLS12 {
		t.Errorf("answered %d over TLS %x", res.StatusCode, res.TLS.Version)
	}
}

// certificate writes one for 127.0.0.1 and gives its files.
func certificate(t *testing.T, dir string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return cert, key, pool
}
