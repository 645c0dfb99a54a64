package client

import (
	"context"
	"sync"
)

// feed holds what the caller has not taken yet: the newest presence per user, in
// the order in which the users first changed, and the newest state. A caller
// that is slow skips; it never makes the feed grow.
type feed struct {
	wake chan struct{} // there may be something to take

	mu     sync.Mutex
	order  []string
	newest map[string]Presence
	state  *State
}

func newFeed() *feed {
	return &feed{wake: make(chan struct{}, 1), newest: map[string]Presence{}}
}

func (f *feed) put(p Presence) {
	f.mu.Lock()
	if _, waiting := f.newest[p.User]; !waiting {
		f.order = append(f.order, p.User)
	}
	f.newest[p.User] = p
	f.mu.Unlock()
	nudge(f.wake)
}

func (f *feed) putState(s State) {
	f.mu.Lock()
	f.state = &s
	f.mu.Unlock()
	nudge(f.wake)
}

// drop forgets a user that is watched no longer.
func (f *feed) drop(user string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, waiting := f.newest[user]; !waiting {
		return
	}
	delete(f.newest, user)
	defer nudge(f.wake) // it may be on offer just now
	for i, u := range f.order {
		if u == user {
			f.order = append(f.order[:i], f.order[i+1:]...)
			return
		}
	}
}

func (f *feed) takeState() *State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state
	f.state = nil
	return s
}

func (f *feed) peek() (Presence, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.order) == 0 {
		return Presence{}, false
	}
	return f.newest[f.order[0]], true
}

// taken removes what peek returned, unless something newer has taken its place.
func (f *feed) taken(p Presence) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if have, ok := f.newest[p.User]; !ok || have.Version != p.Version || f.order[0] != p.User {
		return
	}
	delete(f.newest, p.User)
	f.order = f.order[1:]
}

// deliver hands everything to the caller, one thing at a time. It returns when
// ctx ends, or when all is delivered after over was closed.
func (f *feed) deliver(ctx context.Context, over <-chan struct{}, c *Config, changes chan<- Presence) {
	defer f.deliverState(c)
	for ctx.Err() == nil {
		f.deliverState(c)
		p, ok := f.peek()
		if ok && c.OnChange != nil {
			f.taken(p)
			c.OnChange(p)
			continue
		}
		out, done := changes, over
		if ok {
			done = nil
		} else {
			out = nil
		}
		select {
		case out <- p:
			f.taken(p)
		case <-f.wake: // perhaps a newer one
		case <-done:
			if _, more := f.peek(); !more {
				return
			}
		case <-ctx.Done():
		}
	}
}

func (f *feed) deliverState(c *Config) {
	if s := f.takeState(); s != nil && c.OnState != nil {
		c.OnState(*s)
	}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
