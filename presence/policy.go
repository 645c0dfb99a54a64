package presence

import (
	"fmt"
	"time"
)

// Federation says which other tenants a tenant trusts. Its numbers are stored.
type Federation uint8

// Open trusts everyone, AllowList only those on the list, BlockList everyone
// else.
const (
	Open Federation = iota
	AllowList
	BlockList
)

var federationNames = []string{"Open", "AllowList", "BlockList"}

// String is the PascalCase name.
func (f Federation) String() string { return name(federationNames, uint8(f)) }

// ParseFederation reads a name in any case; others are ErrValue.
func ParseFederation(s string) (Federation, error) {
	n, err := parse(federationNames, s, "federation")
	return Federation(n), err
}

// Bounds of a policy.
const (
	MaxFederation = 1000 // tenants on the list
	MaxOrg        = 64   // bytes
)

// Rate is a token bucket: refilled by PerMinute, holding up to Burst.
type Rate struct{ PerMinute, Burst int }

// Quotas bound what a tenant's users may ask for. A policy can only lower them.
type Quotas struct {
	Endpoints               int // of one user
	WatchesPerEndpoint      int
	Watchers                int // of one user: more are refused
	CoalesceAt              int // watchers of one user beyond which fan-out is slowed
	DevicePublish           Rate
	UserPublish             Rate
	TenantPublishPerUser    int // per minute, times the users of the tenant
	TargetsHour, TargetsDay int // distinct users that one user may ask for
}

// DefaultQuotas are also the highest that a policy may set.
var DefaultQuotas = Quotas{
	Endpoints: 20, WatchesPerEndpoint: MaxTargets, Watchers: 100_000, CoalesceAt: 10_000,
	DevicePublish: Rate{PerMinute: 60, Burst: 5}, UserPublish: Rate{PerMinute: 300, Burst: 20},
	TenantPublishPerUser: 20, TargetsHour: 5000, TargetsDay: 20_000,
}

// Policy is what a tenant's administrator decides. List is read by the
// federation mode and ignored when Open.
type Policy struct {
	Tenant         TenantID
	Version        Version
	Org            string // name for endpoint addresses, [A-Za-z0-9.-], may be empty
	Federation     Federation
	List           []TenantID
	Privacy        bool // people outside the tenant see nothing
	Rules          Rules
	Grace          time.Duration // from the last session's loss to Offline
	ChangeInterval time.Duration // least time between two announced changes
	Quotas         Quotas
}

// DefaultPolicy is open and private to nobody: how a tenant starts.
func DefaultPolicy(t TenantID) Policy {
	return Policy{
		Tenant: t, Federation: Open, Rules: DefaultRules,
		Grace: 15 * time.Second, ChangeInterval: 2 * time.Second, Quotas: DefaultQuotas,
	}
}

// Check returns ErrPolicy with the field and its bounds for the first field out
// of bounds.
func (p *Policy) Check() error {
	if p.Tenant == (TenantID{}) {
		return fmt.Errorf("tenant is missing: %w", ErrPolicy)
	}
	if len(p.Org) > MaxOrg || !isOrg(p.Org) {
		return fmt.Errorf("org is not up to %d bytes of [A-Za-z0-9.-]: %w", MaxOrg, ErrPolicy)
	}
	if err := p.checkFederation(); err != nil {
		return err
	}
	times := []struct {
		name        string
		d, min, max time.Duration
	}{
		{"idle time", p.Rules.IdleAfter, time.Second, 24 * time.Hour},
		{"away time", p.Rules.AwayAfter, p.Rules.IdleAfter + time.Second, 24 * time.Hour},
		{"grace", p.Grace, 5 * time.Second, 2 * time.Minute},
		{"change interval", p.ChangeInterval, 0, time.Minute},
	}
	for _, t := range times {
		if t.d < t.min || t.d > t.max {
			return fmt.Errorf("%s is %s, want %s to %s: %w", t.name, t.d, t.min, t.max, ErrPolicy)
		}
	}
	return p.Quotas.check()
}

func (p *Policy) checkFederation() error {
	if p.Federation > BlockList {
		return fmt.Errorf("federation %d is unknown: %w", p.Federation, ErrPolicy)
	}
	if len(p.List) > MaxFederation {
		return fmt.Errorf("%d tenants on the list, at most %d: %w", len(p.List), MaxFederation, ErrPolicy)
	}
	for i, t := range p.List {
		if t == (TenantID{}) {
			return fmt.Errorf("tenant %d of the list is zero: %w", i, ErrPolicy)
		}
	}
	return nil
}

func (q *Quotas) check() error {
	top := &DefaultQuotas
	for _, f := range []struct {
		name     string
		got, max int
	}{
		{"endpoints", q.Endpoints, top.Endpoints},
		{"watches per endpoint", q.WatchesPerEndpoint, top.WatchesPerEndpoint},
		{"watchers", q.Watchers, top.Watchers},
		{"coalescing watchers", q.CoalesceAt, top.CoalesceAt},
		{"device publishes per minute", q.DevicePublish.PerMinute, top.DevicePublish.PerMinute},
		{"device publish burst", q.DevicePublish.Burst, top.DevicePublish.Burst},
		{"user publishes per minute", q.UserPublish.PerMinute, top.UserPublish.PerMinute},
		{"user publish burst", q.UserPublish.Burst, top.UserPublish.Burst},
		{"tenant publishes per user and minute", q.TenantPublishPerUser, top.TenantPublishPerUser},
		{"targets per hour", q.TargetsHour, top.TargetsHour},
		{"targets per day", q.TargetsDay, top.TargetsDay},
	} {
		if f.got < 1 || f.got > f.max {
			return fmt.Errorf("%s is %d, want 1 to %d: %w", f.name, f.got, f.max, ErrPolicy)
		}
	}
	return nil
}

func isOrg(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return true
}
