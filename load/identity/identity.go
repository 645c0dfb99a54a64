package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"rollcall/presence"
)

// User is a user's names: the tenant's GUID, and the MRI.
type User struct{ Tenant, MRI string }

// Seen is what a user of a tenant calls this one, and what a node calls them to
// that user.
func (u User) Seen(tenant string) string {
	if tenant == u.Tenant {
		return u.MRI
	}
	return u.Tenant + "/" + u.MRI
}

// People are the users of a load test, by number.
type People interface {
	// Users are all of them.
	Users() []User
	// Token is a token of a user that is valid for some time yet.
	Token(ctx context.Context, user int32) (string, error)
}

// Needs is what a population wants: so many users, the n-th in tenant[n].
type Needs struct {
	Seed   uint64
	Tenant []int32
}

// ErrFew says that there are fewer identities than users.
var ErrFew = errors.New("too few identities")

// made are made-up users: the same for the same seed, others for another.
func (n Needs) made() []User {
	seed := n.Seed*0x9e3779b97f4a7c15 + 0x10ad
	users := make([]User, len(n.Tenant))
	for u, t := range n.Tenant {
		users[u] = User{
			Tenant: fmt.Sprintf("%08x-7e57-4000-8000-%012x", uint32(seed>>32), t+1),
			MRI:    fmt.Sprintf("8:orgid:%08x-%04x-4000-8000-%012x", uint32(seed), uint16(seed>>48), u+1),
		}
	}
	return users
}

// claims are those that tell whose a token is. They are read without a check: it
// is the node that must believe them.
func claims(token string) (u User, ends time.Time, err error) {
	part := strings.Split(token, ".")
	if len(part) != 3 {
		return u, ends, errors.New("no token: want three parts with dots between")
	}
	text, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		return u, ends, fmt.Errorf("no token: its claims are no base64url: %w", err)
	}
	var c struct {
		Tid, Oid string
		Exp      float64
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return u, ends, fmt.Errorf("no token: its claims are no JSON: %w", err)
	}
	tenant, err := presence.ParseTenant(c.Tid)
	if err != nil {
		return u, ends, fmt.Errorf("a token whose tid names no tenant: %w", err)
	}
	id, err := presence.OrgUser(tenant, c.Oid)
	if err != nil {
		return u, ends, fmt.Errorf("a token whose oid names no user: %w", err)
	}
	return User{Tenant: tenant.String(), MRI: id.MRI}, time.Unix(int64(c.Exp), 0), nil
}
