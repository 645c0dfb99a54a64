package gateway

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"rollcall/gateway/auth"
	"rollcall/gateway/front"
	"rollcall/limit"
	"rollcall/messages"
	"rollcall/presence"
)

// policyJSON is a tenant's policy as administrators read and write it. In a PUT
// what is left out is the default, and the version is not read.
type policyJSON struct {
	Version        string     `json:"version"`
	Org            string     `json:"org"`
	Federation     string     `json:"federation"`
	Tenants        []string   `json:"tenants"`
	PrivacyMode    bool       `json:"privacyMode"`
	IdleAfter      string     `json:"idleAfter"`
	AwayAfter      string     `json:"awayAfter"`
	Grace          string     `json:"grace"`
	ChangeInterval string     `json:"changeInterval"`
	Quotas         quotasJSON `json:"quotas"`
}

type quotasJSON struct {
	Endpoints              int `json:"endpoints"`
	WatchesPerEndpoint     int `json:"watchesPerEndpoint"`
	Watchers               int `json:"watchers"`
	CoalesceAt             int `json:"coalesceAt"`
	DevicePublishPerMinute int `json:"devicePublishPerMinute"`
	DevicePublishBurst     int `json:"devicePublishBurst"`
	UserPublishPerMinute   int `json:"userPublishPerMinute"`
	UserPublishBurst       int `json:"userPublishBurst"`
	TenantPublishPerUser   int `json:"tenantPublishPerUser"`
	TargetsPerHour         int `json:"targetsPerHour"`
	TargetsPerDay          int `json:"targetsPerDay"`
}

func fromPolicy(p *presence.Policy) policyJSON {
	q := &p.Quotas
	j := policyJSON{
		Version: p.Version.String(), Org: p.Org, Federation: lowerFirst(p.Federation.String()), Tenants: []string{},
		PrivacyMode: p.Privacy, IdleAfter: presence.FormatDuration(p.Rules.IdleAfter),
		AwayAfter: presence.FormatDuration(p.Rules.AwayAfter), Grace: presence.FormatDuration(p.Grace),
		ChangeInterval: presence.FormatDuration(p.ChangeInterval),
		Quotas: quotasJSON{
			q.Endpoints, q.WatchesPerEndpoint, q.Watchers, q.CoalesceAt, q.DevicePublish.PerMinute, q.DevicePublish.Burst,
			q.UserPublish.PerMinute, q.UserPublish.Burst, q.TenantPublishPerUser, q.TargetsHour, q.TargetsDay,
		},
	}
	for _, t := range p.List {
		j.Tenants = append(j.Tenants, t.String())
	}
	return j
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// policy reads the form back; the error names the field. Bounds are checked by
// the tenant's actor.
func (j *policyJSON) policy(t presence.TenantID) (presence.Policy, error) {
	p := presence.Policy{Tenant: t, Org: j.Org, Privacy: j.PrivacyMode}
	var err error
	if p.Federation, err = presence.ParseFederation(j.Federation); err != nil {
		return p, messages.ErrBadRequest.With("federation must be open, allowList or blockList")
	}
	for _, name := range j.Tenants {
		other, err := presence.ParseTenant(name)
		if err != nil {
			return p, messages.ErrBadID.With("tenants must be a list of tenant UUIDs")
		}
		p.List = append(p.List, other)
	}
	for _, d := range []struct {
		name, value string
		into        *time.Duration
	}{
		{"idleAfter", j.IdleAfter, &p.Rules.IdleAfter}, {"awayAfter", j.AwayAfter, &p.Rules.AwayAfter},
		{"grace", j.Grace, &p.Grace}, {"changeInterval", j.ChangeInterval, &p.ChangeInterval},
	} {
		if d.value == presence.FormatDuration(0) {
			continue
		}
		if *d.into, err = presence.ParseDuration(d.value); err != nil {
			return p, messages.ErrBadDuration.With(d.name + " must be an ISO 8601 duration, as PT5M")
		}
	}
	q := &j.Quotas
	p.Quotas = presence.Quotas{
		Endpoints: q.Endpoints, WatchesPerEndpoint: q.WatchesPerEndpoint, Watchers: q.Watchers, CoalesceAt: q.CoalesceAt,
		DevicePublish:        presence.Rate{PerMinute: q.DevicePublishPerMinute, Burst: q.DevicePublishBurst},
		UserPublish:          presence.Rate{PerMinute: q.UserPublishPerMinute, Burst: q.UserPublishBurst},
		TenantPublishPerUser: q.TenantPublishPerUser, TargetsHour: q.TargetsPerHour, TargetsDay: q.TargetsPerDay,
	}
	return p, nil
}

// adminRate is what a node takes of administration.
var adminRate = limit.Rate{Count: 10, Per: time.Second, Burst: 10}

// policies serves /admin/v1/tenants/{id}/policy. Changes follow one another, so
// that If-Match means what it says.
type policies struct {
	front *front.Front
	write sync.Mutex

	mu   sync.Mutex
	rate limit.Bucket
}

func (a *policies) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, err := a.serve(w, r)
	if err != nil {
		front.WriteError(w, a.front.Actor(err))
		return
	}
	w.Header().Set("ETag", `"`+p.Version.String()+`"`)
	front.WriteJSON(w, http.StatusOK, fromPolicy(&p))
}

func (a *policies) serve(w http.ResponseWriter, r *http.Request) (none presence.Policy, err error) {
	id, tenant, err := a.admit(r)
	if err == nil {
		err = a.take()
	}
	if err != nil {
		return none, err
	}
	switch r.Method {
	case http.MethodGet:
		return a.front.Actors.Policy(tenant), nil
	case http.MethodPut:
	default:
		w.Header().Set("Allow", "GET, PUT")
		return none, front.ErrMethod
	}
	body, err := front.ReadBody(w, r)
	if err != nil {
		return none, err
	}
	p := presence.DefaultPolicy(tenant)
	j := fromPolicy(&p)
	if err := front.DecodeStrict(body, &j); err != nil {
		return none, err
	}
	if p, err = j.policy(tenant); err != nil {
		return none, err
	}
	if p, err = a.set(r, p); err != nil {
		return none, err
	}
	a.front.Log.Info("audit: policy set", "tenant", tenant.String(), "by", id.App, "version", p.Version.String(),
		"id", w.Header().Get("request-id"))
	return p, nil
}

func (a *policies) take() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ok, wait := a.rate.Take(a.front.Now(), adminRate); !ok {
		return front.ErrRate.After(wait)
	}
	return nil
}

// admit lets an administrator of the tenant in, and nobody else's.
func (a *policies) admit(r *http.Request) (*auth.Identity, presence.TenantID, error) {
	name, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/admin/v1/tenants/"), "/policy")
	id, err := a.front.Authenticate(r)
	if err == nil {
		err = front.Require(id, auth.PolicyWrite)
	}
	if err != nil {
		return nil, presence.TenantID{}, err
	}
	if !ok || strings.Contains(name, "/") {
		return nil, presence.TenantID{}, front.ErrNotFound
	}
	tenant, err := presence.ParseTenant(name)
	if err == nil && tenant != id.Tenant {
		err = messages.ErrForbidden.With("the token is another tenant's")
	}
	return id, tenant, err
}

// set stores the policy. With If-Match it must still have the version that the
// caller has read.
func (a *policies) set(r *http.Request, p presence.Policy) (presence.Policy, error) {
	a.write.Lock()
	defer a.write.Unlock()
	if match := r.Header.Get("If-Match"); match != "" && match != "*" {
		now := a.front.Actors.Policy(p.Tenant).Version.String()
		if strings.Trim(match, `"`) != now {
			return p, front.ErrConflict
		}
	}
	return a.front.Actors.SetPolicy(r.Context(), p)
}
