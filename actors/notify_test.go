package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
)

// scriptedFeed hands out pages, then waits until it is told that there is more.
type scriptedFeed struct {
	pages [][]persistence.Change
	ends  error // after the last page; nil: nothing more yet
	more  chan struct{}
}

func (f *scriptedFeed) Changes(presence.TenantID, persistence.Token, int) ([]persistence.Change, persistence.Token, error) {
	if len(f.pages) == 0 {
		return nil, persistence.Token{}, f.ends
	}
	page := f.pages[0]
	f.pages = f.pages[1:]
	return page, persistence.Token{}, nil
}

func (f *scriptedFeed) FeedWait(ctx context.Context, _ presence.TenantID, _ persistence.Token) error {
	select {
	case <-f.more:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *scriptedFeed) FeedEnd(presence.TenantID) persistence.Token   { return persistence.Token{} }
func (f *scriptedFeed) FeedStart(presence.TenantID) persistence.Token { return persistence.Token{} }

func changesOf(versions ...presence.Version) (out []persistence.Change) {
	for _, v := range versions {
		out = append(out, persistence.Change{User: alice, Version: v})
	}
	return out
}

func TestFollowerGetsAllInOrderAndSignsOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &scriptedFeed{pages: [][]persistence.Change{changesOf(1, 2), changesOf(3)}, more: make(chan struct{})}
		n := NewNotifications(f, 1)
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var got []presence.Version
		var beats []time.Duration
		done := make(chan error, 1)
		go func() {
			done <- n.Follow(ctx, Follow{Tenant: home, Live: true, Beat: 25 * time.Second, Each: func(cs []persistence.Change) error {
				if len(cs) == 0 {
					beats = append(beats, time.Since(began))
				}
				for _, c := range cs {
					got = append(got, c.Version)
				}
				return nil
			}})
		}()
		time.Sleep(60 * time.Second)
		synctest.Wait()
		if want := []time.Duration{0, 25 * time.Second, 50 * time.Second}; !slices.Equal(beats, want) {
			t.Errorf("signs of life at %v, want %v", beats, want)
		}
		f.pages = append(f.pages, changesOf(4))
		f.more <- struct{}{}
		synctest.Wait()
		if !slices.Equal(got, []presence.Version{1, 2, 3, 4}) {
			t.Errorf("handed over %v", got)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

// A change from the other side of a partition, or one that comes twice.
func TestFollowerSeesVersionsRise(t *testing.T) {
	pages := [][]persistence.Change{changesOf(2, 3, 3, 1), changesOf(2), changesOf(5, 4)}
	pages[1] = append(pages[1], persistence.Change{User: bob, Version: 1})
	var got []presence.Version
	err := NewNotifications(&scriptedFeed{pages: pages}, 1).Follow(t.Context(), Follow{Tenant: home, Each: func(cs []persistence.Change) error {
		for _, c := range cs {
			got = append(got, c.Version)
		}
		return nil
	}})
	if err != nil || !slices.Equal(got, []presence.Version{2, 3, 1, 5}) {
		t.Errorf("handed over %v, %v", got, err)
	}
	var r risen
	for n := range 3 * risenUsers {
		r.rising([]persistence.Change{{User: presence.UserID{Tenant: home, MRI: fmt.Sprint(n)}, Version: 1}})
	}
	if n := len(r.young) + len(r.old); n > 2*risenUsers {
		t.Errorf("%d users are remembered", n)
	}
}

func TestFollowersAreCutOffWhereTheLogIsNotWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parted := errors.New("other nodes hold a part of the users")
		var whole atomic.Bool
		whole.Store(true)
		n := NewNotifications(&scriptedFeed{more: make(chan struct{})}, 1)
		n.Require(func() error {
			if whole.Load() {
				return nil
			}
			return parted
		})
		done := make(chan error, 1)
		go func() {
			done <- n.Follow(t.Context(), Follow{Tenant: home, Live: true, Beat: time.Second, Each: func([]persistence.Change) error { return nil }})
		}()
		synctest.Wait()
		whole.Store(false)
		if err := <-done; !errors.Is(err, parted) {
			t.Errorf("the follower ended with %v", err)
		}
		if err := n.Follow(t.Context(), Follow{Tenant: home}); !errors.Is(err, parted) {
			t.Errorf("a new follower ended with %v", err)
		}
	})
}

func TestFollowEnds(t *testing.T) {
	gone := errors.New("the reader is gone")
	for name, tt := range map[string]struct {
		feed scriptedFeed
		live bool
		each error
		want error
	}{
		"at the end of the feed":     {feed: scriptedFeed{pages: [][]persistence.Change{changesOf(1)}}},
		"with its reader":            {feed: scriptedFeed{pages: [][]persistence.Change{changesOf(1)}}, live: true, each: gone, want: gone},
		"while waiting":              {live: true, each: gone, want: gone},
		"when changes are missing":   {feed: scriptedFeed{ends: persistence.ErrResync}, live: true, want: ErrResync},
		"with a token that is wrong": {feed: scriptedFeed{ends: persistence.ErrToken}, want: persistence.ErrToken},
		"with the store":             {feed: scriptedFeed{ends: persistence.ErrClosed}, want: messages.ErrClosing},
	} {
		t.Run(name, func(t *testing.T) {
			n := NewNotifications(&tt.feed, 1)
			err := n.Follow(t.Context(), Follow{Tenant: home, Live: tt.live, Beat: time.Hour, Each: func([]persistence.Change) error { return tt.each }})
			if !errors.Is(err, tt.want) {
				t.Errorf("ended with %v, want %v", err, tt.want)
			}
		})
	}
}

func TestFollowersOfATenantAreBounded(t *testing.T) {
	n := NewNotifications(&scriptedFeed{more: make(chan struct{})}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	follows, done := make(chan struct{}, 1), make(chan error, 1)
	each := func([]persistence.Change) error {
		follows <- struct{}{}
		return nil
	}
	go func() { done <- n.Follow(ctx, Follow{Tenant: home, Live: true, Beat: time.Hour, Each: each}) }()
	<-follows
	if err := n.Follow(ctx, Follow{Tenant: home}); !errors.Is(err, messages.ErrOverloaded) {
		t.Errorf("a second follower of the tenant: %v", err)
	}
	if err := n.Follow(ctx, Follow{Tenant: foreign}); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the first follower ended with %v", err)
	}
	if err := n.Follow(t.Context(), Follow{Tenant: home}); err != nil {
		t.Errorf("after the first left: %v", err)
	}
}
