package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"rollcall/gateway/auth"
	"rollcall/presence"
)

func TestGoodTokens(t *testing.T) {
	ec, ed, rs := es256(t, "ec"), edDSA(t, "ed"), rs256(t, "rs")
	p := newProvider(t, ec.public(), ed.public(), rs.public())
	c := &clock{at: start}
	v := newVerifier(t, p, c)
	tenant := mustTenant(t, tenantID)
	user, err := presence.OrgUser(tenant, userID)
	must(t, user, err)
	delegated := auth.Identity{
		User: user, Tenant: tenant, App: appID, Name: "Erin Example",
		Scopes: auth.PresenceRead | auth.PresenceReadWrite, Expires: start.Add(time.Hour + auth.Leeway),
	}
	application := auth.Identity{
		Tenant: tenant, App: appID, Application: true,
		Scopes: auth.PresenceReadAll | auth.ChangesRead, Expires: delegated.Expires,
	}
	uc, ac := userClaims(p.URL, start), appClaims(p.URL, start)
	longName := delegated
	longName.Name = strings.Repeat("\u00e9", 64)
	noRights := delegated
	noRights.Scopes = 0
	for name, tt := range map[string]struct {
		by     signer
		claims jwt.MapClaims
		header map[string]any
		want   auth.Identity
	}{
		"ES256":                             {ec, uc, nil, delegated},
		"EdDSA":                             {ed, uc, nil, delegated},
		"RS256":                             {rs, uc, nil, delegated},
		"application":                       {ec, ac, nil, application},
		"typ at+jwt":                        {ec, uc, map[string]any{"typ": "at+jwt"}, delegated},
		"no kid":                            {ec, uc, map[string]any{"kid": ""}, delegated},
		"upper case GUIDs":                  {ec, with(uc, map[string]any{"oid": strings.ToUpper(userID), "tid": strings.ToUpper(tenantID)}), nil, delegated},
		"appid of version 1.0 tokens":       {ec, with(uc, map[string]any{"azp": nil, "appid": appID}), nil, delegated},
		"several audiences":                 {ec, with(uc, map[string]any{"aud": []string{"other", audience}}), nil, delegated},
		"a name too long is cut":            {ec, with(uc, map[string]any{"name": strings.Repeat("\u00e9", 100)}), nil, longName},
		"no nbf":                            {ec, with(uc, map[string]any{"nbf": nil}), nil, delegated},
		"issuer's clock ahead by 59 s":      {ec, with(uc, map[string]any{"iat": start.Unix() + 59, "nbf": start.Unix() + 59}), nil, delegated},
		"a user's roles give nothing":       {ec, with(uc, map[string]any{"roles": []string{"Presence.Policy.ReadWrite.All"}}), nil, delegated},
		"delegated wide scopes are nothing": {ec, with(uc, map[string]any{"scp": "Presence.ReadWrite.All Presence.Policy.ReadWrite.All"}), nil, noRights},
		"scope names keep their case":       {ec, with(uc, map[string]any{"scp": "presence.read PRESENCE.READWRITE"}), nil, noRights},
		"own scopes in roles give nothing":  {ec, with(ac, map[string]any{"roles": []string{"Presence.Read.All", "Presence.ReadWrite", "Presence.Changes.Read.All"}}), nil, application},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := v.Verify(context.Background(), tt.by.sign(t, tt.claims, tt.header))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Fatalf("identity (-want +got):\n%s", d)
			}
		})
	}
}

// forged is a token that must be refused, and how.
type forged struct {
	raw  string
	want *auth.Error
}

func TestForgedSignatures(t *testing.T) {
	ec, rs := es256(t, "ec"), rs256(t, "rs")
	p := newProvider(t, ec.public(), rs.public())
	uc := userClaims(p.URL, start)
	good := ec.sign(t, uc, nil)
	change := func(k string, val any) string { return ec.sign(t, with(uc, map[string]any{k: val}), nil) }
	part := func(i int) string { return strings.Split(good, ".")[i] }
	stranger := es256(t, "ec") // same key id, other key
	unknown := es256(t, "nobody")
	embedded := stranger.sign(t, uc, map[string]any{"kid": "jwk", "jwk": stranger.public()})

	refuse(t, newVerifier(t, p, &clock{at: start}), good, map[string]forged{
		"empty":                        {"", auth.ErrMissing},
		"over 8 KiB":                   {strings.Repeat("a", auth.MaxToken+1), auth.ErrTokenTooLarge},
		"over 8 KiB and signed":        {change("pad", strings.Repeat("x", auth.MaxToken)), auth.ErrTokenTooLarge},
		"garbage":                      {"garbage", auth.ErrInvalid},
		"garbage of 8 KiB":             {strings.Repeat("a", auth.MaxToken), auth.ErrInvalid},
		"dots alone":                   {"..", auth.ErrInvalid},
		"header alone":                 {part(0), auth.ErrInvalid},
		"four parts":                   {good + ".x", auth.ErrInvalid},
		"JSON serialisation":           {`{"payload":"` + part(1) + `","protected":"` + part(0) + `","signature":"` + part(2) + `"}`, auth.ErrInvalid},
		"line break inside":            {part(0) + ".\n" + part(1) + "." + part(2), auth.ErrInvalid},
		"no signature":                 {part(0) + "." + part(1) + ".", auth.ErrInvalid},
		"signature of another token":   {part(0) + "." + part(1) + "." + strings.Split(change("name", "X"), ".")[2], auth.ErrInvalid},
		"claims changed":               {part(0) + "." + strings.Split(change("oid", appID), ".")[1] + "." + part(2), auth.ErrInvalid},
		"alg none":                     {algNone(t, uc), auth.ErrInvalid},
		"alg none, with a signature":   {strings.Split(algNone(t, uc), ".")[0] + "." + part(1) + "." + part(2), auth.ErrInvalid},
		"HS256 with the PEM as secret": {hmacSigned(t, ec, uc, publicPEM(t, ec)), auth.ErrInvalid},
		"HS256 with the RSA PEM":       {hmacSigned(t, rs, uc, publicPEM(t, rs)), auth.ErrInvalid},
		"PS256, an algorithm not kept": {signer{jwt.SigningMethodPS256, rs.key, "rs"}.sign(t, uc, nil), auth.ErrInvalid},
		"RS512, an algorithm not kept": {signer{jwt.SigningMethodRS512, rs.key, "rs"}.sign(t, uc, nil), auth.ErrInvalid},
		"alg says RS256, key is ES256": {ec.sign(t, uc, map[string]any{"alg": "RS256"}), auth.ErrInvalid},
		"critical header not known":    {ec.sign(t, uc, map[string]any{"crit": []string{"exp"}, "exp": 1}), auth.ErrInvalid},
		"typ of a logout token":        {ec.sign(t, uc, map[string]any{"typ": "logout+jwt"}), auth.ErrInvalid},
		"key id of another's key":      {stranger.sign(t, uc, nil), auth.ErrInvalid},
		"key unknown":                  {unknown.sign(t, uc, nil), auth.ErrInvalid},
		"key brought in the header":    {embedded, auth.ErrInvalid},
	})
}

func TestForgedClaims(t *testing.T) {
	ec := es256(t, "ec")
	p := newProvider(t, ec.public())
	uc, ac := userClaims(p.URL, start), appClaims(p.URL, start)
	change := func(k string, val any) string { return ec.sign(t, with(uc, map[string]any{k: val}), nil) }
	appChange := func(k string, val any) string { return ec.sign(t, with(ac, map[string]any{k: val}), nil) }

	refuse(t, newVerifier(t, p, &clock{at: start}), ec.sign(t, uc, nil), map[string]forged{
		"iss of a stranger":       {change("iss", "https://login.example/else"), auth.ErrInvalid},
		"iss missing":             {change("iss", nil), auth.ErrInvalid},
		"iss with a slash more":   {change("iss", p.URL+"/"), auth.ErrInvalid},
		"aud of another service":  {change("aud", "api://other"), auth.ErrInvalid},
		"aud of 5,000 bytes":      {change("aud", strings.Repeat("a", 5000)), auth.ErrInvalid},
		"aud missing":             {change("aud", nil), auth.ErrInvalid},
		"expired":                 {change("exp", start.Add(-time.Minute).Unix()), auth.ErrExpired},
		"exp missing":             {change("exp", nil), auth.ErrInvalid},
		"exp is text":             {change("exp", "tomorrow"), auth.ErrInvalid},
		"exp beyond all dates":    {change("exp", 1e300), auth.ErrInvalid},
		"exp negative":            {change("exp", -1), auth.ErrInvalid},
		"lives more than 24 h":    {change("exp", start.Add(24*time.Hour+time.Second).Unix()), auth.ErrInvalid},
		"iat missing":             {change("iat", nil), auth.ErrInvalid},
		"iat in the future":       {change("iat", start.Add(61*time.Second).Unix()), auth.ErrInvalid},
		"nbf in the future":       {change("nbf", start.Add(61*time.Second).Unix()), auth.ErrInvalid},
		"nbf is no date":          {change("nbf", 1e300), auth.ErrInvalid},
		"tid missing":             {change("tid", nil), auth.ErrInvalid},
		"tid no UUID":             {change("tid", "contoso"), auth.ErrInvalid},
		"tid with braces":         {change("tid", "{"+tenantID+"}"), auth.ErrInvalid},
		"tid zero":                {change("tid", "00000000-0000-0000-0000-000000000000"), auth.ErrInvalid},
		"tid in capitals alone":   {ec.sign(t, with(uc, map[string]any{"tid": nil, "TID": tenantID}), nil), auth.ErrInvalid},
		"oid missing":             {change("oid", nil), auth.ErrInvalid},
		"oid no GUID":             {change("oid", "alice"), auth.ErrInvalid},
		"oid with a separator":    {change("oid", userID+"/x"), auth.ErrInvalid},
		"neither scp nor roles":   {change("scp", nil), auth.ErrInvalid},
		"roles empty":             {appChange("roles", []string{}), auth.ErrInvalid},
		"application without id":  {appChange("azp", nil), auth.ErrInvalid},
		"application id too long": {appChange("azp", strings.Repeat("a", 129)), auth.ErrInvalid},
		"roles in a user's token": {appChange("idtyp", "user"), auth.ErrInvalid},
		"scp in an application's": {ec.sign(t, with(uc, map[string]any{"idtyp": "app"}), nil), auth.ErrInvalid},
		"claims are a list":       {rawSigned(t, ec, `["iss"]`), auth.ErrInvalid},
		"claim twice":             {twice(t, ec, uc, "oid", appID), auth.ErrInvalid},
	})
}

// refuse checks that v refuses each token and, so that it is not for nothing,
// accepts the good one they were made from.
func refuse(t *testing.T, v *auth.Verifier, good string, tokens map[string]forged) {
	t.Helper()
	for name, tt := range tokens {
		t.Run(name, func(t *testing.T) {
			id, err := v.Verify(context.Background(), tt.raw)
			wantErr(t, err, tt.want, tt.raw)
			if id != (auth.Identity{}) {
				t.Fatalf("a refused token gave %+v", id)
			}
		})
	}
	accept(t, v, good)
}

func TestIssuerURLPinsTenant(t *testing.T) {
	key := es256(t, "ec")
	const iss = "https://login.example/" + tenantID + "/v2.0"
	v, err := auth.New(context.Background(), auth.Config{
		Keys: map[string][]crypto.PublicKey{iss: {key.key.Public()}}, Audience: audience,
		Now: func() time.Time { return start },
	})
	must(t, v, err)
	if _, err := v.Verify(context.Background(), key.sign(t, userClaims(iss, start), nil)); err != nil {
		t.Fatalf("own tenant: %v", err)
	}
	raw := key.sign(t, with(userClaims(iss, start), map[string]any{"tid": userID}), nil)
	_, err = v.Verify(context.Background(), raw)
	wantErr(t, err, auth.ErrInvalid, raw)
}

func TestNewRefuses(t *testing.T) {
	p := newProvider(t)
	rs := rs256(t, "rs")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, small, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, p384, err)
	keys := func(iss string, k ...crypto.PublicKey) auth.Config {
		return auth.Config{Keys: map[string][]crypto.PublicKey{iss: k}, Audience: audience}
	}
	for name, c := range map[string]auth.Config{
		"no issuer":                {Audience: audience},
		"no audience":              {Issuers: []string{p.URL}},
		"plain http elsewhere":     {Issuers: []string{"http://192.0.2.1"}, Audience: audience},
		"no URL":                   {Issuers: []string{"login"}, Audience: audience},
		"issuer named differently": {Issuers: []string{p.URL + "/"}, Audience: audience},
		"the same issuer twice":    {Issuers: []string{p.URL, p.URL}, Audience: audience},
		"an issuer without keys":   keys("x"),
		"a key that is a secret":   keys("x", []byte("secret")),
		"a short RSA key":          keys("x", small.Public()),
		"a key on another curve":   keys("x", p384.Public()),
		"an issuer without a name": keys("", rs.key.Public()),
	} {
		t.Run(name, func(t *testing.T) {
			c.Client = &http.Client{Transport: stayNear{t}}
			if _, err := auth.New(context.Background(), c); err == nil {
				t.Fatal("accepted")
			}
		})
	}
}

// stayNear fails the test when a request leaves the machine.
type stayNear struct{ t *testing.T }

func (s stayNear) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Hostname() != "127.0.0.1" {
		s.t.Errorf("asked %s", r.URL)
		return nil, errors.New("not near")
	}
	return (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
}

func TestKeysComeOverTLSWhenTheIssuerDoes(t *testing.T) {
	key := es256(t, "ec")
	plain := newProvider(t, key.public())
	for name, tt := range map[string]struct {
		jwks string // relative to the issuer, or absolute
		ok   bool
	}{
		"its own":            {"/jwks", true},
		"plain http":         {plain.URL + "/jwks", false},
		"a file":             {"file:///etc/passwd", false},
		"no URL":             {"::", false},
		"https without host": {"https:///jwks", false},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			p := httptest.NewTLSServer(mux)
			defer p.Close()
			jwks := tt.jwks
			if tt.ok {
				jwks = p.URL + jwks
			}
			mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
				writeJSON(t, w, map[string]any{"issuer": p.URL, "jwks_uri": jwks})
			})
			mux.HandleFunc("/jwks", plain.serveKeys)
			v, err := auth.New(context.Background(), auth.Config{
				Issuers: []string{p.URL}, Audience: audience, Client: p.Client(), Now: func() time.Time { return start },
			})
			if (err == nil) != tt.ok {
				t.Fatalf("error %v", err)
			}
			if tt.ok {
				accept(t, v, key.sign(t, userClaims(p.URL, start), nil))
			}
		})
	}
}

func TestNewStopsWithItsContext(t *testing.T) {
	entered := make(chan struct{})
	release := make(chan struct{})
	p := newProvider(t)
	p.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-release
	})
	defer close(release)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-entered; cancel() }()
	_, err := auth.New(ctx, auth.Config{Issuers: []string{p.URL}, Audience: audience})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want context.Canceled", err)
	}
}

func algNone(t *testing.T, c jwt.MapClaims) string {
	raw, err := jwt.NewWithClaims(jwt.SigningMethodNone, c).SignedString(jwt.UnsafeAllowNoneSignatureType)
	return must(t, raw, err)
}

func hmacSigned(t *testing.T, s signer, c jwt.MapClaims, secret []byte) string {
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	token.Header["kid"] = s.kid
	raw, err := token.SignedString(secret)
	return must(t, raw, err)
}

func publicPEM(t *testing.T, s signer) []byte {
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(t, der, err)})
}

// twice signs claims in which one name is there a second time, at the end.
func twice(t *testing.T, s signer, c jwt.MapClaims, name, value string) string {
	data, err := json.Marshal(c)
	payload := strings.TrimSuffix(string(must(t, data, err)), "}")
	return rawSigned(t, s, fmt.Sprintf("%s,%q:%q}", payload, name, value))
}

// rawSigned signs a payload that need not be claims.
func rawSigned(t *testing.T, s signer, payload string) string {
	js, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key, KeyID: s.kid}}, nil)
	jws, err2 := must(t, js, err).Sign([]byte(payload))
	raw, err3 := must(t, jws, err2).CompactSerialize()
	if err3 != nil || !strings.Contains(raw, base64.RawURLEncoding.EncodeToString([]byte(payload))) {
		t.Fatalf("sign: %v", err3)
	}
	return raw
}
