package front

import (
	"fmt"
	"hash/maphash"
	"time"

	"rollcall/gateway/auth"
	"rollcall/limit"
	"rollcall/messages"
	"rollcall/presence"
)

// Bounds of one request.
const (
	MaxWatchCall = 200 // users in one watch call
	MaxRead      = 650 // users in one read; the bound of Microsoft Graph's getPresencesByUserId
)

// callerKey is whose budget: a user, or an application in a tenant.
type callerKey = presence.UserID

// caller is what one caller has asked for lately.
type caller struct {
	queries   limit.Bucket
	hour, day limit.Window
}

// tenantBudget bounds what a tenant's users publish together.
type tenantBudget struct {
	users   limit.Window // who published in the last hour
	publish limit.Bucket
}

// TakeQuery counts one read of the caller; ErrRate when there are too many.
func (f *Front) TakeQuery(id *auth.Identity) error {
	now := f.Now()
	err := error(nil)
	f.callers.with(Viewer(id), now, func(c *caller) {
		if ok, wait := c.queries.Take(now, f.Limits.Queries); !ok {
			err = ErrRate.After(wait)
		}
	})
	return err
}

// Targets reads the users that a caller names, as ParseTargets does, and counts
// them against the number of different users that one caller may ask for.
func (f *Front) Targets(id *auth.Identity, names []string, most int, more *messages.Error) ([]presence.UserID, error) {
	users, err := ParseTargets(id, names, most, more)
	if err != nil {
		return nil, err
	}
	return users, f.TakeTargets(id, users)
}

// ParseTargets reads the users that a caller names; more is the refusal of a
// list longer than most.
func ParseTargets(id *auth.Identity, names []string, most int, more *messages.Error) ([]presence.UserID, error) {
	if len(names) > most {
		return nil, more.With(fmt.Sprintf("%d users in one request, at most %d", len(names), most))
	}
	users := make([]presence.UserID, len(names))
	for i, name := range names {
		u, err := presence.ParseTarget(name, id.Tenant)
		if err != nil {
			return nil, messages.ErrBadID.With(fmt.Sprintf("user %d of the list is not a valid id", i))
		}
		users[i] = u
	}
	return users, nil
}

// TakeTargets counts the users that a caller asks for; ErrEnumeration when
// there are too many different ones. An application was given its whole tenant,
// so that only users of other tenants count for it.
func (f *Front) TakeTargets(id *auth.Identity, users []presence.UserID) error {
	now := f.Now()
	policy := f.Actors.Policy(id.Tenant)
	hour := limit.Quota{Max: policy.Quotas.TargetsHour, Per: time.Hour}
	day := limit.Quota{Max: policy.Quotas.TargetsDay, Per: 24 * time.Hour}
	var refused time.Duration
	f.callers.with(Viewer(id), now, func(c *caller) {
		for _, u := range users {
			if u == id.User || id.Application && u.Tenant == id.Tenant {
				continue
			}
			h := maphash.Comparable(f.seed, u)
			ok, wait := c.hour.Add(h, now, hour)
			if ok {
				ok, wait = c.day.Add(h, now, day)
			}
			if !ok {
				refused = max(wait, time.Second)
				return
			}
		}
	})
	if refused == 0 {
		return nil
	}
	f.metrics.enumeration.Inc()
	f.Log.Warn("audit: a caller asks for too many different users", "tenant", id.Tenant.String(), "caller", Viewer(id).MRI)
	return messages.ErrEnumeration.After(refused)
}

// takePublish counts a publish against the tenant's budget: so many a minute
// for each user that published in the last hour. A small tenant counts as one
// of Limits.TenantUsers users, so that one user's burst is not refused here.
func (f *Front) takePublish(u presence.UserID, now time.Time) error {
	policy := f.Actors.Policy(u.Tenant)
	err := error(nil)
	f.tenants.with(u.Tenant, now, func(b *tenantBudget) {
		active := limit.Quota{Max: limit.MaxQuota, Per: time.Hour}
		b.users.Add(maphash.Comparable(f.seed, u), now, active) // a full window counts as the most
		n := max(b.users.Len(now, active), f.Limits.TenantUsers) * policy.Quotas.TenantPublishPerUser
		if ok, wait := b.publish.Take(now, limit.Rate{Count: n, Per: time.Minute, Burst: n}); !ok {
			err = messages.ErrPublishRate.With("the tenant publishes more than its share").After(wait)
		}
	})
	return err
}
