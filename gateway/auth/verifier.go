package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4/json"

	"rollcall/presence"
)

// MaxToken is the size of the largest token looked at, in bytes.
const MaxToken = 8 << 10

var algorithms = []string{oidc.ES256, oidc.EdDSA, oidc.RS256}

// Identity is what a verified token says about its caller.
type Identity struct {
	User        presence.UserID // zero for an application
	Tenant      presence.TenantID
	App         string // appid or azp: the client application; may be empty for a user
	Application bool   // the application acts for itself, with no user
	Scopes      Scope
	Name        string    // display name, at most 128 bytes; may be empty
	Expires     time.Time // from this moment on the token is refused: exp and 60 s of leeway
}

// Config says whose tokens are believed.
type Config struct {
	// Issuers are OpenID Connect issuers by URL, exactly as in iss. New asks
	// each for its discovery document. https, or http on a loopback address.
	Issuers []string
	// Keys are issuers whose public keys are at hand, by the exact iss: P-256
	// ECDSA, Ed25519 or RSA of at least 2,048 bits. Nothing is fetched for them.
	Keys map[string][]crypto.PublicKey
	// Audience has to be in aud.
	Audience string
	// Client fetches documents; its Transport and a Timeout below 10 s are
	// used, redirects are never followed. Nil is a client of the package's own.
	Client *http.Client
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	issuers map[string]issuer
	now     func() time.Time
	cache   cache
}

type issuer struct {
	verifier *oidc.IDTokenVerifier
	tenant   presence.TenantID // the only one it may speak for; zero for any
}

// New learns the configured issuers. It fails when there is none, when one
// cannot be reached before ctx ends, or when one is misconfigured: a service
// that cannot tell who calls should not start.
func New(ctx context.Context, c Config) (*Verifier, error) {
	if c.Audience == "" {
		return nil, errors.New("auth: no audience is configured")
	}
	if len(c.Issuers)+len(c.Keys) == 0 {
		return nil, errors.New("auth: no issuer is configured")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	v := &Verifier{issuers: make(map[string]issuer), now: c.Now}
	for iss, keys := range c.Keys {
		if iss == "" {
			return nil, errors.New("auth: an issuer without a name is configured")
		}
		set, err := staticKeys(keys)
		if err != nil {
			return nil, fmt.Errorf("auth: issuer %s: %w", iss, err)
		}
		v.trust(iss, set, c.Audience)
	}
	for _, iss := range c.Issuers {
		if _, twice := v.issuers[iss]; twice {
			return nil, fmt.Errorf("auth: issuer %s is configured twice", iss)
		}
		set, err := discover(ctx, iss, c)
		if err != nil {
			return nil, fmt.Errorf("auth: issuer %s: %w", iss, err)
		}
		v.trust(iss, set, c.Audience)
	}
	return v, nil
}

// trust leaves the times to claims.window: go-oidc allows nbf five minutes and
// exp none.
func (v *Verifier) trust(iss string, set oidc.KeySet, audience string) {
	v.issuers[iss] = issuer{
		verifier: oidc.NewVerifier(iss, set, &oidc.Config{
			ClientID:             audience,
			SupportedSigningAlgs: algorithms,
			SkipExpiryCheck:      true,
		}),
		tenant: tenantOf(iss),
	}
}

// tenantOf finds the tenant in an issuer's URL, as in
// https://login.microsoftonline.com/<tenant>/v2.0; zero when there is none.
func tenantOf(iss string) presence.TenantID {
	for part := range strings.SplitSeq(iss, "/") {
		if t, err := presence.ParseTenant(part); err == nil {
			return t
		}
	}
	return presence.TenantID{}
}

func staticKeys(keys []crypto.PublicKey) (oidc.KeySet, error) {
	if len(keys) == 0 {
		return nil, errors.New("no key")
	}
	for _, key := range keys {
		switch k := key.(type) {
		case ed25519.PublicKey:
		case *ecdsa.PublicKey:
			if k.Params().BitSize != 256 {
				return nil, errors.New("an ECDSA key is not on P-256")
			}
		case *rsa.PublicKey:
			if k.N.BitLen() < 2048 {
				return nil, errors.New("an RSA key is shorter than 2,048 bits")
			}
		default:
			return nil, fmt.Errorf("a key is of type %T", key)
		}
	}
	return &oidc.StaticKeySet{PublicKeys: keys}, nil
}

func discover(ctx context.Context, iss string, c Config) (oidc.KeySet, error) {
	u, err := url.Parse(iss)
	if err != nil {
		return nil, err
	}
	plain := u.Scheme == "http"
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, newClient(c.Client, plain, c.Now)), iss)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&doc); err != nil {
		return nil, fmt.Errorf("discovery document: %w", err)
	}
	ku, err := url.Parse(doc.Keys)
	if err != nil {
		return nil, fmt.Errorf("jwks_uri: %w", err)
	}
	if err := secure(ku, plain); err != nil {
		return nil, fmt.Errorf("jwks_uri: %w", err)
	}
	return newRemoteKeys(doc.Keys, newClient(c.Client, plain, c.Now), c.Now), nil
}

// Verify checks a token and says who it speaks for. A token checked before is
// answered from memory without looking at its signature again, until it
// expires. Errors match one of the package's kinds; their text has the reason
// and the token's fingerprint, for the log.
func (v *Verifier) Verify(ctx context.Context, raw string) (Identity, error) {
	if raw == "" {
		return Identity{}, ErrMissing
	}
	if len(raw) > MaxToken {
		return Identity{}, ErrTokenTooLarge
	}
	now := v.now()
	hash := sha256.Sum256([]byte(raw))
	if id, ok := v.cache.get(hash, now); ok {
		return id, nil
	}
	id, err := v.check(ctx, raw, now)
	if err != nil {
		return Identity{}, fmt.Errorf("token %x: %w", hash[:4], err)
	}
	v.cache.put(hash, id, now)
	return id, nil
}

func (v *Verifier) check(ctx context.Context, raw string, now time.Time) (Identity, error) {
	iss, err := peek(raw)
	if err != nil {
		return Identity{}, err
	}
	from, ok := v.issuers[iss]
	if !ok {
		return Identity{}, invalid("issuer %q is not configured", cut(iss, maxName))
	}
	var fetch fault
	token, err := from.verifier.Verify(context.WithValue(ctx, faultKey{}, &fetch), raw)
	if fetch.err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrUnavailable, fetch.err)
	}
	if err != nil {
		return Identity{}, invalid("%v", err)
	}
	var payload json.RawMessage
	if err := token.Claims(&payload); err != nil {
		return Identity{}, invalid("claims: %v", err)
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Identity{}, invalid("claims: %v", err)
	}
	end, err := c.window(now)
	if err != nil {
		return Identity{}, err
	}
	id, err := c.identity(from.tenant)
	if err != nil {
		return Identity{}, err
	}
	id.Expires = end
	return id, nil
}
