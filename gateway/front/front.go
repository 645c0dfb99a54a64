package front

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/actors"
	"rollcall/gateway/auth"
	"rollcall/limit"
	"rollcall/messages"
	"rollcall/presence"
	"rollcall/wheel"
)

// Config says what a Front stands on. All but Limits are required.
type Config struct {
	Actors     *actors.System
	Verifier   *auth.Verifier
	Base       string // public URL of the node without a slash at its end
	Now        func() time.Time
	Wheel      *wheel.Wheel
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Limits     Limits
	Origins    []string // further origins whose pages may connect, as https://host
}

// Limits are those of one node; a field that is zero is the default. What a
// tenant may lower is in its policy.
type Limits struct {
	Sockets     int        // in total; 15,000
	PerAddress  int        // connections of one source address; 200
	Handshakes  limit.Rate // new sockets; 500 a second
	Queries     limit.Rate // reads of one user or application; 10 a second
	TenantUsers int        // users that a tenant's publish budget counts at least; 100
	Memory      int64      // bytes in use from which no socket is taken; 85 % of GOMEMLIMIT
}

func (l Limits) defaults() Limits {
	if l.Sockets == 0 {
		l.Sockets = 15_000
	}
	if l.PerAddress == 0 {
		l.PerAddress = 200
	}
	if l.Handshakes == (limit.Rate{}) {
		l.Handshakes = limit.Rate{Count: 500, Per: time.Second, Burst: 500}
	}
	if l.Queries == (limit.Rate{}) {
		l.Queries = limit.Rate{Count: 10, Per: time.Second, Burst: 10}
	}
	if l.TenantUsers == 0 {
		l.TenantUsers = 100
	}
	return l
}

// Front is the admission that all surfaces share. It is safe for concurrent use.
type Front struct {
	Config
	Doors   *Doors
	seed    maphash.Seed
	callers table[callerKey, caller]
	tenants table[presence.TenantID, tenantBudget]
	metrics *counts
}

// New checks nothing: its parts were checked when they were made.
func New(c Config) *Front {
	c.Limits = c.Limits.defaults()
	f := &Front{Config: c, Doors: newDoors(c.Limits, c.Now), seed: maphash.MakeSeed(), metrics: newCounts(c.Registerer)}
	f.callers.init()
	f.tenants.init()
	return f
}

// Authenticate says who makes a request.
func (f *Front) Authenticate(r *http.Request) (*auth.Identity, error) {
	raw, err := auth.Bearer(r)
	if err != nil {
		return nil, err
	}
	return f.Identify(r.Context(), raw)
}

// Identify says whose a token is. A refusal is logged with its reason, which
// the caller is not told.
func (f *Front) Identify(ctx context.Context, raw string) (*auth.Identity, error) {
	id, err := f.Verifier.Verify(ctx, raw)
	if err != nil {
		f.metrics.tokens.WithLabelValues(Refusal(err).Code).Inc()
		f.Log.Debug("token refused", "reason", err)
		return nil, err
	}
	return &id, nil
}

// Require refuses with ErrForbidden an identity that has none of the scopes.
func Require(id *auth.Identity, any auth.Scope) error {
	if id.Scopes.Any(any) {
		return nil
	}
	return messages.ErrForbidden.With(fmt.Sprintf("the token needs one of these scopes: %s", any))
}

// Viewer is who reads on behalf of an identity. An application reads as itself:
// a name of its tenant that no user has.
func Viewer(id *auth.Identity) presence.UserID {
	if !id.Application {
		return id.User
	}
	mri, err := presence.ParseMRI("28:" + id.App)
	if err != nil {
		mri = "28:application"
	}
	return presence.UserID{Tenant: id.Tenant, MRI: mri}
}

// Name is how a caller of tenant home calls a user: by MRI at home, with the
// tenant elsewhere.
func Name(u presence.UserID, home presence.TenantID) string {
	if u.Tenant == home {
		return u.MRI
	}
	return u.String()
}

// CheckEndpoint allows the ids that clients may choose for their endpoints: 1
// to 64 of A-Z a-z 0-9 . _ : -
func CheckEndpoint(id string) error {
	ok := id != "" && len(id) <= 64
	for i := 0; ok && i < len(id); i++ {
		c := id[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c == '.' || c == '_' || c == ':' || c == '-'
	}
	if !ok {
		return messages.ErrBadID.With("endpoint must be 1 to 64 of A-Z a-z 0-9 . _ : -")
	}
	return nil
}

// Actor is an error of a call to an actor as callers are told it: the code of
// the refusal, or "internal" with the error in the log.
func (f *Front) Actor(err error) error {
	if err == nil {
		return nil
	}
	e := Refusal(err)
	var own *messages.Error
	if e.Code == messages.ErrInternal.Code && !errors.As(err, &own) {
		f.Log.Error("request failed", "error", err)
	}
	return e
}
