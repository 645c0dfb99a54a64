package devissuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"rollcall/gateway/auth"
	"rollcall/presence"
)

// TokenLife is how long the tokens of /token live.
const TokenLife = time.Hour

const (
	userScopes = auth.PresenceRead | auth.PresenceReadAll | auth.PresenceReadWrite
	appScopes  = auth.PresenceReadAll | auth.PresenceReadWriteAll | auth.SourcesWriteAll | auth.ChangesRead | auth.PolicyWrite
)

// ErrUnknown is the answer to a user or tenant that is not in the demo directory.
var ErrUnknown = errors.New("devissuer: not in the demo directory")

// Config says who the issuer is.
type Config struct {
	// KeyFile keeps the key over restarts; empty makes a new one each time.
	KeyFile string
	// URL is the issuer's name and place, for instance
	// http://127.0.0.1:8080/dev. Tokens of another URL are another issuer's.
	URL string
	// Name is what tokens say of their issuer; empty is URL. Issuers with one
	// name and one key give tokens that are the same, wherever they are.
	Name string
	// Audience is what the tokens are for: the verifier's Audience.
	Audience string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Issuer signs tokens for the demo directory. It is safe for concurrent use.
type Issuer struct {
	name     string
	url      string
	base     string // path of url
	audience string
	now      func() time.Time
	key      *ecdsa.PrivateKey
	public   jose.JSONWebKey
}

// New loads or makes the key.
func New(c Config) (*Issuer, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return nil, fmt.Errorf("devissuer: %q is no absolute URL", c.URL)
	}
	if c.Audience == "" {
		return nil, errors.New("devissuer: no audience is configured")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Name == "" {
		c.Name = c.URL
	}
	key, err := loadKey(c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("devissuer: %w", err)
	}
	public := jose.JSONWebKey{Key: key.Public(), Algorithm: string(jose.ES256), Use: "sig"}
	thumb, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("devissuer: %w", err)
	}
	public.KeyID = base64.RawURLEncoding.EncodeToString(thumb)
	return &Issuer{name: c.Name, url: c.URL, base: u.Path, audience: c.Audience, now: c.Now, key: key, public: public}, nil
}

// Keys is the issuer as auth.Config.Keys takes it: the name and the public key.
func (i *Issuer) Keys() map[string][]crypto.PublicKey {
	return map[string][]crypto.PublicKey{i.name: {i.key.Public()}}
}

// UserToken signs a delegated token for a person of the demo directory, by
// login, with every delegated scope; ErrUnknown when there is no such person.
func (i *Issuer) UserToken(login string, life time.Duration) (string, error) {
	p, ok := Find(login)
	if !ok {
		return "", fmt.Errorf("%w: user %q", ErrUnknown, login)
	}
	return i.sign(life, jwt.MapClaims{
		"sub":                p.ID,
		"oid":                p.ID,
		"tid":                p.Tenant.String(),
		"scp":                userScopes.String(),
		"name":               p.DisplayName,
		"preferred_username": p.Mail,
		"azp":                DemoApp,
		"idtyp":              "user",
	})
}

// AppToken signs a token of the demo application for one of the demo tenants,
// with every application scope; ErrUnknown for another tenant.
func (i *Issuer) AppToken(t presence.TenantID, life time.Duration) (string, error) {
	if t != HomeTenant && t != GuestTenant {
		return "", fmt.Errorf("%w: tenant %s", ErrUnknown, t)
	}
	return i.sign(life, jwt.MapClaims{
		"sub":   DemoApp,
		"tid":   t.String(),
		"roles": appScopes.Names(),
		"azp":   DemoApp,
		"idtyp": "app",
	})
}

func (i *Issuer) sign(life time.Duration, claims jwt.MapClaims) (string, error) {
	now := i.now()
	claims["iss"] = i.name
	claims["aud"] = i.audience
	claims["iat"] = now.Unix()
	claims["nbf"] = now.Unix()
	claims["exp"] = now.Add(life).Unix()
	claims["jti"] = rand.Text()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = i.public.KeyID
	token.Header["typ"] = "at+jwt"
	signed, err := token.SignedString(i.key)
	if err != nil {
		return "", fmt.Errorf("devissuer: %w", err)
	}
	return signed, nil
}
