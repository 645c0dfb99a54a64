package bench

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"rollcall/presence"
)

const (
	audience   = "api://rollcall-bench"
	tenantText = "11111111-2222-4333-8444-555555555555"
	tokenLife  = 12 * time.Hour
)

var tenant = func() presence.TenantID {
	t, err := presence.ParseTenant(tenantText)
	if err != nil {
		panic(err)
	}
	return t
}()

// userGUID ends in the user's number, so that the load finds a publisher by the
// last twelve digits of its name.
func userGUID(n int) string { return fmt.Sprintf("aaaaaaaa-bbbb-4ccc-8ddd-%012x", n) }

func userMRI(n int) string { return "8:orgid:" + userGUID(n) }

// issuer is an OpenID Connect issuer on loopback whose tokens the node believes.
type issuer struct {
	*httptest.Server
	key ed25519.PrivateKey
	now time.Time // of all tokens, so that the same is made twice
}

func newIssuer(b *testing.B) *issuer {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	i := &issuer{key: key, now: time.Now()}
	mux := http.NewServeMux()
	document := func(path string, v func() any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(v()); err != nil {
				b.Error("issuer:", err)
			}
		})
	}
	document("/.well-known/openid-configuration", func() any {
		return map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/jwks"}
	})
	document("/jwks", func() any {
		return map[string]any{"keys": []any{map[string]string{
			"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "bench", "x": part(public),
		}}}
	})
	i.Server = httptest.NewServer(mux)
	b.Cleanup(i.Close)
	return i
}

func part(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// token is one of user n. Another nonce makes another token, which the node has
// not seen and must check.
func (i *issuer) token(n, nonce int) string {
	now := i.now
	claims, err := json.Marshal(map[string]any{
		"iss": i.URL, "aud": audience, "tid": tenantText, "oid": userGUID(n), "azp": "bench", "jti": nonce,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(tokenLife).Unix(),
		"scp": "Presence.Read Presence.Read.All Presence.ReadWrite",
	})
	if err != nil {
		panic(err) // a map of plain values cannot fail to encode
	}
	signed := part([]byte(`{"alg":"EdDSA","typ":"JWT","kid":"bench"}`)) + "." + part(claims)
	return signed + "." + part(ed25519.Sign(i.key, []byte(signed)))
}
