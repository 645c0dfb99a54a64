package clustertest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"time"

	"rollcall/presence"
)

const (
	audience   = "api://rollcall-clustertest"
	tenantText = "33333333-2222-4333-8444-555555555555" // of the crowd
	keepTenant = "33333333-2222-4333-8444-666666666666" // of the keepers
	farTenant  = "33333333-2222-4333-8444-777777777777" // of those who watch from outside
	tokenLife  = 12 * time.Hour
	issuerPort = 18090
	appNumber  = 1 << 41
)

var tenant = func() presence.TenantID {
	t, err := presence.ParseTenant(tenantText)
	if err != nil {
		panic(err)
	}
	return t
}()

func userGUID(n int) string { return fmt.Sprintf("cccccccc-bbbb-4ccc-8ddd-%012x", n) }

func userMRI(n int) string { return "8:orgid:" + userGUID(n) }

// issuer makes the tokens that the nodes believe. Plain HTTP is believed on
// loopback only, so it listens on the loopback of every namespace.
type issuer struct {
	url    string
	server *http.Server
	key    ed25519.PrivateKey
	now    time.Time
	places map[string]bool
}

func newIssuer() (*issuer, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	i := &issuer{key: key, now: time.Now(), places: map[string]bool{}}
	i.url = fmt.Sprintf("http://127.0.0.1:%d", issuerPort)
	mux := http.NewServeMux()
	document := func(path string, v func() any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(v()) // a node that is gone need not get it
		})
	}
	document("/.well-known/openid-configuration", func() any {
		return map[string]any{"issuer": i.url, "jwks_uri": i.url + "/jwks"}
	})
	document("/jwks", func() any {
		return map[string]any{"keys": []any{map[string]string{
			"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "test", "x": part(public),
		}}}
	})
	i.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return i, nil
}

// serve makes the issuer reachable for nodes in a place. Without namespaces all
// share one, on a port that is free.
func (i *issuer) serve(h *host) error {
	if i.places[h.space] {
		return nil
	}
	address := fmt.Sprintf("127.0.0.1:%d", issuerPort)
	if h.space == "" {
		address = "127.0.0.1:0"
	}
	var l net.Listener
	entered := make(chan struct{})
	close(entered) // the thread is for entering only
	err := h.within(entered, func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if h.space == "" {
		i.url = "http://" + l.Addr().String()
	}
	i.places[h.space] = true
	go func() { // ends with close, which closes the listener
		if err := i.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			progress("the issuer has ended: %v", err)
		}
	}()
	return nil
}

func (i *issuer) close() error { return i.server.Close() }

func part(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// token is that of a user of the crowd's tenant.
func (i *issuer) token(n int) string { return i.userToken(tenantText, n) }

func (i *issuer) userToken(tenant string, n int) string {
	return i.sign(tenant, n, map[string]any{"scp": "Presence.Read Presence.Read.All Presence.ReadWrite"})
}

// appToken is that of an application that may do everything in the crowd's tenant.
func (i *issuer) appToken() string {
	return i.sign(tenantText, appNumber, map[string]any{"idtyp": "app", "roles": []string{
		"Presence.Read.All", "Presence.Changes.Read.All", "Presence.Policy.ReadWrite.All",
	}})
}

func (i *issuer) sign(tenant string, n int, more map[string]any) string {
	claims := map[string]any{
		"iss": i.url, "aud": audience, "tid": tenant, "oid": userGUID(n), "azp": "clustertest", "jti": n,
		"iat": i.now.Unix(), "nbf": i.now.Unix(), "exp": i.now.Add(tokenLife).Unix(),
	}
	maps.Copy(claims, more)
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err) // a map of plain values cannot fail to encode
	}
	signed := part([]byte(`{"alg":"EdDSA","typ":"JWT","kid":"test"}`)) + "." + part(text)
	return signed + "." + part(ed25519.Sign(i.key, []byte(signed)))
}
