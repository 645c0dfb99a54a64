package identity

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Audience is what the issuer's tokens are for: a node's --audience.
const Audience = "api://rollcall-loadtest"

// life of a token: longer than any load.
const life = 23 * time.Hour

// Issuer signs tokens of made-up users. A node believes them when it was started
// with --issuer URL --audience Audience while a KeyServer was up at URL.
type Issuer struct {
	URL    string
	key    ed25519.PrivateKey
	header string
	users  []User
}

// NewIssuer signs with a key for as many users as are needed.
func NewIssuer(url string, key ed25519.PrivateKey, n Needs) *Issuer {
	return &Issuer{
		URL: url, key: key, users: n.made(),
		header: part([]byte(`{"alg":"EdDSA","typ":"at+jwt","kid":"` + keyID(key) + `"}`)),
	}
}

// NewKey makes a key that lives as long as the process.
func NewKey() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

// LoadKey reads a key from a file that only its owner may read; with create a
// missing file is made.
func LoadKey(file string, create bool) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if create && errors.Is(err, fs.ErrNotExist) {
		key, err := NewKey()
		if err != nil {
			return nil, err
		}
		return key, os.WriteFile(file, []byte(part(key.Seed())+"\n"), 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("issuer's key: %w; loadtest issuer makes one", err)
	}
	seed, err := base64.RawURLEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("issuer's key: %s is no key that loadtest issuer has made", file)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

func keyID(key ed25519.PrivateKey) string {
	sum := sha256.Sum256(public(key))
	return part(sum[:12])
}

// KeyServer tells nodes which key an Issuer signs with.
type KeyServer struct {
	URL    string
	server *http.Server
	done   chan error
}

// ServeKey listens on an address, host:port, and serves until Close.
func ServeKey(address string, key ed25519.PrivateKey) (*KeyServer, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("issuer of tokens: %w", err)
	}
	s := &KeyServer{URL: "http://" + l.Addr().String(), done: make(chan error, 1)}
	mux := http.NewServeMux()
	document(mux, "/.well-known/openid-configuration", map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/jwks"})
	document(mux, "/jwks", map[string]any{"keys": []any{map[string]string{
		"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": keyID(key), "x": part(public(key)),
	}}})
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { s.done <- s.server.Serve(l) }() // Close waits for it
	return s, nil
}

// Close ends the server. Nodes that know the key go on believing its tokens.
func (s *KeyServer) Close() error {
	err := s.server.Close()
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func document(mux *http.ServeMux, path string, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // a map of plain values cannot fail to encode
	}
	mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text) // a reader that is gone asks again
	})
}

func part(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Users are as many as were needed.
func (i *Issuer) Users() []User { return i.users }

// Token signs one for a user.
func (i *Issuer) Token(_ context.Context, user int32) (string, error) {
	u := i.users[user]
	return i.sign(map[string]any{
		"tid": u.Tenant, "oid": strings.TrimPrefix(u.MRI, "8:orgid:"), "azp": "loadtest",
		"scp": "Presence.Read Presence.Read.All Presence.ReadWrite",
	})
}

// Administrator signs a token with which a tenant's policy may be changed.
func (i *Issuer) Administrator(tenant string) (string, error) {
	return i.sign(map[string]any{
		"tid": tenant, "azp": "loadtest", "idtyp": "app", "roles": []string{"Presence.Policy.ReadWrite.All"},
	})
}

func (i *Issuer) sign(claims map[string]any) (string, error) {
	now := time.Now()
	claims["iss"], claims["aud"] = i.URL, Audience
	claims["iat"], claims["nbf"], claims["exp"] = now.Unix(), now.Unix(), now.Add(life).Unix()
	text, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := i.header + "." + part(text)
	return signed + "." + part(ed25519.Sign(i.key, []byte(signed))), nil
}
