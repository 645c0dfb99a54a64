package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	// keyLife is the age at which keys are fetched anew, so that a withdrawn key stops working.
	keyLife = time.Hour
	// keyInterval is the shortest time between two fetches: tokens signed with
	// unknown keys must not become a flood of requests to the issuer.
	keyInterval = 5 * time.Second
	// fetchTimeout and maxDocument bound one answer of the issuer.
	fetchTimeout = 10 * time.Second
	maxDocument  = 256 << 10
)

// remoteKeys are an issuer's rotating keys. oidc.RemoteKeySet fetches when it
// meets an unknown key but keeps a known one for good; remoteKeys replaces the
// whole set after keyLife and keeps the old one while the issuer is away.
type remoteKeys struct {
	url    string
	client *http.Client
	now    func() time.Time

	refreshing sync.Mutex // held by the one caller that replaces the set

	mu    sync.Mutex
	set   *oidc.RemoteKeySet
	since time.Time
}

func newRemoteKeys(url string, client *http.Client, now func() time.Time) *remoteKeys {
	k := &remoteKeys{url: url, client: client, now: now, since: now()}
	k.set = k.fetcher()
	return k
}

func (k *remoteKeys) fetcher() *oidc.RemoteKeySet {
	return oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), k.client), k.url)
}

// VerifySignature implements oidc.KeySet. go-oidc turns its error to text, so
// a failed fetch is also left in the fault that the context carries.
func (k *remoteKeys) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	payload, err := k.verify(ctx, raw)
	if f, ok := ctx.Value(faultKey{}).(*fault); ok && unavailable(err) {
		f.err = err
	}
	return payload, err
}

func (k *remoteKeys) verify(ctx context.Context, raw string) ([]byte, error) {
	set, aged := k.current()
	if aged && k.refreshing.TryLock() {
		defer k.refreshing.Unlock()
		next := k.fetcher()
		payload, err := next.VerifySignature(ctx, raw)
		if !unavailable(err) {
			k.replace(next)
			return payload, err
		}
	}
	return set.VerifySignature(ctx, raw)
}

func (k *remoteKeys) current() (set *oidc.RemoteKeySet, aged bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.set, k.now().Sub(k.since) >= keyLife
}

func (k *remoteKeys) replace(set *oidc.RemoteKeySet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.set, k.since = set, k.now()
}

type faultKey struct{}

type fault struct{ err error }

func unavailable(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// guard is the transport to one document of one issuer. It fetches at most
// once per keyInterval and repeats the last outcome in between, reads at most
// maxDocument bytes, and takes nothing but 200 with JSON for an answer: as a
// redirect is an error too, the configured issuer itself has to answer.
type guard struct {
	base  http.RoundTripper
	plain bool // http to a loopback address is allowed
	now   func() time.Time

	mu   sync.Mutex
	at   time.Time
	body []byte
	err  error
}

// newClient makes a client for one document.
func newClient(base *http.Client, plain bool, now func() time.Time) *http.Client {
	g := &guard{plain: plain, now: now}
	timeout := fetchTimeout
	if base != nil {
		g.base = base.Transport
		if base.Timeout > 0 && base.Timeout < timeout {
			timeout = base.Timeout
		}
	}
	if g.base == nil {
		// One request an hour is not worth a kept connection.
		g.base = &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	}
	return &http.Client{Transport: g, Timeout: timeout}
}

// RoundTrip implements http.RoundTripper. Its errors wrap ErrUnavailable.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if age := now.Sub(g.at); g.at.IsZero() || age < 0 || age >= keyInterval {
		g.at = now
		g.body, g.err = g.fetch(req)
	}
	if g.err != nil {
		return nil, g.err
	}
	return &http.Response{
		StatusCode: http.StatusOK,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(bytes.NewReader(g.body)),
		ContentLength: int64(len(g.body)),
		Request:       req,
	}, nil
}

func (g *guard) fetch(req *http.Request) ([]byte, error) {
	if err := secure(req.URL, g.plain); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	resp, err := g.base.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer func() { _ = resp.Body.Close() }() // read only: nothing can be lost
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s answers %s", ErrUnavailable, req.URL.Redacted(), resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if len(body) > maxDocument || !json.Valid(body) {
		return nil, fmt.Errorf("%w: %s gives no JSON document of at most %d bytes", ErrUnavailable, req.URL.Redacted(), maxDocument)
	}
	return body, nil
}

// secure refuses a URL over which keys could be swapped on their way.
func secure(u *url.URL, plain bool) error {
	if u.Scheme == "https" && u.Host != "" {
		return nil
	}
	if u.Scheme == "http" && plain && loopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%s is neither https nor a loopback address", u.Redacted())
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
