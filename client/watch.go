package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rollcall/messages"
	"rollcall/presence"
	"rollcall/trouter"
)

// A watch frame holds at most this much: the node takes 200 users in at most
// 16 KiB.
const (
	watchUsers = 200
	watchBytes = 12 << 10
)

// Watch follows users, named by MRI (8:orgid:<guid>), by GUID alone, or, in
// another tenant, by <tenant>/<mri>. Each one's presence comes as a change, at
// once what it is and then what becomes of it. Those watched already are left
// as they are.
//
// It returns when the node has stored the list. Refused tells whom it has no
// room for; after another error of the node the list is as before. When ctx
// ends first the wish stands, and is carried out when the node can be reached.
func (c *Client) Watch(ctx context.Context, users ...string) error {
	return c.watch(ctx, users, func(names []string) ([]*call, error) {
		var fresh []string
		for _, u := range names {
			if !c.watched[u] {
				fresh = append(fresh, u)
			}
		}
		for _, u := range fresh {
			c.watched[u] = true
		}
		return c.addAll(fresh, func(part []string) *call {
			return &call{frame: watchFrame(&messages.WatchRequest{Add: part}), wish: part}
		})
	})
}

// Unwatch ends following users: after it there is no change of theirs, save one
// that is being handed over just now. Like Watch it stands when ctx ends before
// the node has answered.
func (c *Client) Unwatch(ctx context.Context, users ...string) error {
	return c.watch(ctx, users, func(names []string) ([]*call, error) {
		c.forget(names)
		return c.addAll(names, func(part []string) *call {
			return &call{frame: watchFrame(&messages.WatchRequest{Remove: part})}
		})
	})
}

// Watching lists the wanted users, in no order.
func (c *Client) Watching() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	users := make([]string, 0, len(c.watched))
	for u := range c.watched {
		users = append(users, u)
	}
	return users
}

// watch makes calls under the lock and waits for all of them.
func (c *Client) watch(ctx context.Context, users []string, make func([]string) ([]*call, error)) error {
	c.mu.Lock()
	names, err := canonicals(users, c.home)
	if err != nil {
		c.mu.Unlock()
		return err
	}
	calls, err := make(names)
	c.mu.Unlock()
	errs := []error{err}
	for _, k := range calls {
		a, err := c.await(ctx, k)
		errs = append(errs, err, a.err)
	}
	return joinRefused(errs)
}

// joinRefused makes one Refused of several.
func joinRefused(errs []error) error {
	var all Refused
	var others []error
	for _, err := range errs {
		if r := (*Refused)(nil); errors.As(err, &r) {
			all.Users = append(all.Users, r.Users...)
		} else if err != nil {
			others = append(others, err)
		}
	}
	if len(all.Users) > 0 {
		others = append(others, &all)
	}
	return errors.Join(others...)
}

func (c *Client) addAll(users []string, make func([]string) *call) ([]*call, error) {
	var calls []*call
	all := parts(users)
	for i, part := range all {
		k := make(part)
		if err := c.add(k); err != nil {
			if k.wish != nil {
				c.forget(slices.Concat(all[i:]...))
			}
			return calls, err
		}
		calls = append(calls, k)
	}
	return calls, nil
}

// forget drops users from everything but the node; c.mu is held.
func (c *Client) forget(users []string) {
	for _, u := range users {
		if name, err := canonical(u, c.home); err == nil {
			u = name
		}
		delete(c.watched, u)
		delete(c.latest, u)
		c.session.receiver.Forget(u)
		c.feed.drop(u)
	}
}

// parts cuts a list into what fits into one frame each.
func parts(users []string) [][]string {
	var out [][]string
	from, size := 0, 0
	for i, u := range users {
		if i-from == watchUsers || size+len(u) > watchBytes {
			out = append(out, users[from:i])
			from, size = i, 0
		}
		size += len(u) + len(`"",`)
	}
	if from < len(users) {
		out = append(out, users[from:])
	}
	return out
}

func watchFrame(r *messages.WatchRequest) *messages.ClientFrame {
	return &messages.ClientFrame{Frame: &messages.ClientFrame_Watch{Watch: r}}
}

func canonicals(users []string, home presence.TenantID) ([]string, error) {
	names := make([]string, 0, len(users))
	seen := make(map[string]bool, len(users))
	for _, u := range users {
		name, err := canonical(u, home)
		if err != nil {
			return nil, err
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names, nil
}

// canonical is the user as the node calls it: the MRI, of another tenant's user
// with the tenant before it. While the home tenant is not known yet, one of its
// users named with the tenant keeps that.
func canonical(user string, home presence.TenantID) (string, error) {
	tenant, mri, foreign := strings.Cut(user, "/")
	if !foreign {
		tenant, mri = "", user
	}
	if len(mri) == len("00000000-0000-0000-0000-000000000000") && !strings.Contains(mri, ":") {
		mri = "8:orgid:" + mri
	}
	mri, err := presence.ParseMRI(mri)
	if err != nil {
		return "", badUser(user)
	}
	if !foreign {
		return mri, nil
	}
	t, err := presence.ParseTenant(tenant)
	if err != nil {
		return "", badUser(user)
	}
	if t == home {
		return mri, nil
	}
	return presence.UserID{Tenant: t, MRI: mri}.String(), nil
}

func badUser(user string) error {
	return messages.ErrBadID.With(fmt.Sprintf(
		"%.64q names no user: use 8:orgid:<guid>, a GUID, or <tenant>/8:orgid:<guid>", user))
}

// settleHome learns the home tenant from the endpoint's URL and gives its users
// the names that the node uses; c.mu is held.
func (c *Client) settleHome(endpointURL string) {
	at := strings.LastIndex(endpointURL, "/trouter/")
	if at < 0 || c.home != (presence.TenantID{}) {
		return
	}
	address, err := trouter.ParseURL(endpointURL, endpointURL[:at])
	if err != nil {
		return
	}
	home, err := presence.ParseTenant(address.Tenant)
	if err != nil {
		return
	}
	c.home = home
	for u := range c.watched {
		if name, err := canonical(u, home); err == nil && name != u {
			delete(c.watched, u)
			c.watched[name] = true
		}
	}
}
