package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"rollcall/gateway/auth"
	"rollcall/presence"
)

const (
	audience = "api://rollcall"
	tenantID = "11111111-2222-4333-8444-555555555555"
	userID   = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
	appID    = "99999999-8888-4777-8666-555555555555"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is the time of a test; it moves when told.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// provider is an OpenID Connect issuer over real loopback sockets.
type provider struct {
	*httptest.Server
	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetches int
	fail    http.HandlerFunc // answers for the key document when set
}

func newProvider(t testing.TB, keys ...jose.JSONWebKey) *provider {
	p := &provider{keys: keys}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(t, w, map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/jwks"})
	})
	mux.HandleFunc("/jwks", p.serveKeys)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) serveKeys(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetches++
	if p.fail != nil {
		p.fail(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: p.keys})
}

func (p *provider) rotate(keys ...jose.JSONWebKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = keys
}

func (p *provider) failWith(h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = h
}

func (p *provider) fetched() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetches
}

func writeJSON(t testing.TB, w io.Writer, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		t.Errorf("answer: %v", err)
	}
}

// signer is a key with the method that fits it.
type signer struct {
	method jwt.SigningMethod
	key    crypto.Signer
	kid    string
}

func (s signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.key.Public(), KeyID: s.kid, Algorithm: s.method.Alg(), Use: "sig"}
}

func es256(t testing.TB, kid string) signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return signer{jwt.SigningMethodES256, must(t, key, err), kid}
}

func edDSA(t testing.TB, kid string) signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return signer{jwt.SigningMethodEdDSA, must(t, key, err), kid}
}

func rs256(t testing.TB, kid string) signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	return signer{jwt.SigningMethodRS256, must(t, key, err), kid}
}

// sign makes a token; header adds to or replaces its header fields.
func (s signer) sign(t testing.TB, c jwt.MapClaims, header map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(s.method, c)
	token.Header["kid"] = s.kid
	for name, v := range header {
		token.Header[name] = v
	}
	raw, err := token.SignedString(s.key)
	return must(t, raw, err)
}

// userClaims are those of a good delegated token issued at now.
func userClaims(iss string, now time.Time) jwt.MapClaims {
	return jwt.MapClaims{
		"iss": iss, "aud": audience, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"tid": tenantID, "oid": userID, "azp": appID, "name": "Erin Example",
		"scp": "openid Presence.Read Presence.ReadWrite",
	}
}

// appClaims are those of a good application token.
func appClaims(iss string, now time.Time) jwt.MapClaims {
	c := userClaims(iss, now)
	delete(c, "scp")
	delete(c, "oid")
	delete(c, "name")
	c["roles"] = []string{"Presence.Read.All", "Presence.Changes.Read.All"}
	return c
}

// with copies claims and changes some; nil removes one.
func with(c jwt.MapClaims, change map[string]any) jwt.MapClaims {
	out := jwt.MapClaims{}
	for k, v := range c {
		out[k] = v
	}
	for k, v := range change {
		if out[k] = v; v == nil {
			delete(out, k)
		}
	}
	return out
}

func newVerifier(t testing.TB, p *provider, c *clock) *auth.Verifier {
	t.Helper()
	v, err := auth.New(context.Background(), auth.Config{Issuers: []string{p.URL}, Audience: audience, Now: c.now})
	return must(t, v, err)
}

func wantErr(t *testing.T, err error, want *auth.Error, raw string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %s", err, want.Code)
	}
	var public *auth.Error
	if !errors.As(err, &public) || public.Code != want.Code {
		t.Fatalf("wire code of %v is not %s", err, want.Code)
	}
	if n := len(err.Error()); n > 512 {
		t.Fatalf("the error text has %d bytes", n)
	}
	for _, part := range strings.Split(raw, ".") {
		if len(part) >= 16 && strings.Contains(err.Error(), part[:16]) {
			t.Fatalf("error text holds a part of the token: %v", err)
		}
	}
}

func mustTenant(t testing.TB, s string) presence.TenantID {
	id, err := presence.ParseTenant(s)
	return must(t, id, err)
}

func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}
