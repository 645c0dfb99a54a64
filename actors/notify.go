package actors

import (
	"context"
	"errors"
	"sync"
	"time"

	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
)

// Feed is what the notification centre needs of the change feed.
// *persistence.Store is the real one; tests put a failing one before it.
type Feed interface {
	Changes(t presence.TenantID, after persistence.Token, limit int) ([]persistence.Change, persistence.Token, error)
	FeedWait(ctx context.Context, t presence.TenantID, after persistence.Token) error
	FeedEnd(t presence.TenantID) persistence.Token
	FeedStart(t presence.TenantID) persistence.Token
}

// ErrResync says that changes may be missing between a follower's token and
// what the feed still holds: read the present state and go on from the end.
var ErrResync = persistence.ErrResync

// Notifications is the notification centre: the one place that reads the feed
// for those who follow a tenant. Live fan-out does not pass here. A follower
// takes its own time; nothing is held for it but its position.
type Notifications struct {
	feed      Feed
	perTenant int
	whole     func() error

	mu        sync.Mutex
	followers map[presence.TenantID]int
}

// NewNotifications allows each tenant so many followers at once.
func NewNotifications(feed Feed, perTenant int) *Notifications {
	return &Notifications{feed: feed, perTenant: perTenant, followers: make(map[presence.TenantID]int)}
}

// Require has every follower refused, and cut off at its next sign of life,
// while whole returns an error: this node's log then does not have all changes.
// It is called before the first Follow; whole must be quick.
func (n *Notifications) Require(whole func() error) { n.whole = whole }

// feedPage is how many changes a follower is handed at once at most.
const feedPage = 256

// Follow is what one follower asks for.
type Follow struct {
	Tenant presence.TenantID
	After  persistence.Token
	Live   bool          // go on with what is still to come
	Beat   time.Duration // when Live: how often Each is called with nothing while there is nothing, first at once
	Each   func([]persistence.Change) error
}

// Follow hands over the changes after a token, in the caller's goroutine, until
// there is no more or, when Live, until the context ends. Versions of one user
// rise: a change that comes after a newer one is left out, as long as the user
// is among the last 4,096 that changed. It returns Each's first error, ErrResync
// when changes may be missing, persistence.ErrToken for a token of another
// tenant, and ErrOverloaded when the tenant has too many followers.
func (n *Notifications) Follow(ctx context.Context, f Follow) error {
	if !n.enter(f.Tenant) {
		return messages.ErrOverloaded.With("the tenant has as many followers as may be at once")
	}
	defer n.leave(f.Tenant)
	if err := n.complete(); err != nil {
		return err
	}
	after, newest := f.After, risen{}
	for {
		page, next, err := n.feed.Changes(f.Tenant, after, feedPage)
		if err != nil {
			return storeError(err)
		}
		after = next
		if len(page) == 0 {
			if !f.Live {
				return nil
			}
			if err := n.wait(ctx, f, after); err != nil {
				return err
			}
			continue
		}
		if page = newest.rising(page); len(page) > 0 {
			if err := f.Each(page); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// wait returns when there is something after the token. It calls Each at once,
// so that the follower knows that it is up to date, and then every Beat.
func (n *Notifications) wait(ctx context.Context, f Follow, after persistence.Token) error {
	for {
		if err := n.complete(); err != nil {
			return err
		}
		if err := f.Each(nil); err != nil {
			return err
		}
		beat, cancel := context.WithTimeout(ctx, f.Beat)
		err := n.feed.FeedWait(beat, f.Tenant, after)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, context.DeadlineExceeded):
			return storeError(err)
		}
	}
}

func (n *Notifications) complete() error {
	if n.whole == nil {
		return nil
	}
	return n.whole()
}

// risenUsers bounds one generation of risen; there are two.
const risenUsers = 4096

// risen remembers the newest version handed over of the users that changed
// last.
type risen struct {
	young, old map[presence.UserID]presence.Version
}

// rising leaves the changes that are newer than what was handed over before, in
// the same memory.
func (r *risen) rising(page []persistence.Change) []persistence.Change {
	kept := page[:0]
	for _, c := range page {
		before, ok := r.young[c.User]
		if !ok {
			before, ok = r.old[c.User]
		}
		if ok && c.Version <= before {
			continue
		}
		if r.young == nil || len(r.young) >= risenUsers {
			r.old, r.young = r.young, make(map[presence.UserID]presence.Version)
		}
		r.young[c.User] = c.Version
		kept = append(kept, c)
	}
	return kept
}

// End is the position after the newest change of a tenant, Start the one before
// the oldest that is kept.
func (n *Notifications) End(t presence.TenantID) persistence.Token { return n.feed.FeedEnd(t) }

// Start is the position before the oldest change that is kept.
func (n *Notifications) Start(t presence.TenantID) persistence.Token { return n.feed.FeedStart(t) }

func (n *Notifications) enter(t presence.TenantID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.followers[t] >= n.perTenant {
		return false
	}
	n.followers[t]++
	return true
}

func (n *Notifications) leave(t presence.TenantID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.followers[t]--; n.followers[t] == 0 {
		delete(n.followers, t)
	}
}
