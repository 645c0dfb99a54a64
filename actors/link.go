package actors

import (
	"context"

	"rollcall/messages"
	"rollcall/presence"
)

// Link is how a front end speaks to an endpoint. What comes over a connection
// that has been superseded is ignored. Methods return at once; an error means
// that nothing was done and says why (the client asks too much, or the endpoint
// has ended).
type Link struct {
	endpoint *endpoint
	epoch    uint32 // of the connection; 0 speaks for whichever is there
}

// Messages of links to their endpoint.
type (
	attach struct {
		Attach
		done chan<- *Link
	}
	detach struct{ epoch uint32 }
	ack    struct {
		epoch uint32
		seq   uint64
	}
	publish struct {
		epoch uint32
		id    uint64
		Publish
		done func(*messages.Published, error) // instead of an answer over the connection
	}
	watch struct {
		epoch uint32
		id    uint64
		WatchChange
		done func(Answer) // instead of an answer over the connection
	}
	activity struct {
		epoch uint32
		id    uint64
	}
	bye struct {
		epoch uint32
		id    uint64
	}
	shed struct{ bytes int }
)

// WatchChange changes what an endpoint watches. Replace drops what is not in
// Add.
type WatchChange struct {
	Add, Remove []presence.UserID
	Replace     bool
}

// Key is the endpoint's.
func (l *Link) Key() EndpointKey { return l.endpoint.key }

// Publish sends a publish of the endpoint's own user; the answer goes over the
// connection under id.
func (l *Link) Publish(id uint64, p Publish) error {
	return l.endpoint.mailbox.Post(&publish{epoch: l.epoch, id: id, Publish: p})
}

// PublishWait is Publish for a front end that is not the endpoint's connection.
func (l *Link) PublishWait(ctx context.Context, p Publish) (Snapshot, error) {
	type answer struct {
		published *messages.Published
		err       error
	}
	got := make(chan answer, 1)
	err := l.endpoint.mailbox.Post(&publish{Publish: p, done: func(m *messages.Published, err error) { got <- answer{m, err} }})
	if err != nil {
		return Snapshot{}, err
	}
	select {
	case a := <-got:
		if a.err == nil {
			a.err = a.published.GetError().Err()
		}
		if a.err != nil {
			return Snapshot{}, a.err
		}
		return publishedAs(l.endpoint.key.User, a.published), nil
	case <-ctx.Done():
		return Snapshot{}, messages.ErrTimeout
	case <-l.endpoint.done():
		return Snapshot{}, messages.ErrTimeout
	}
}

// Watch changes the endpoint's list; the answer goes over the connection under
// id, and the snapshots follow it.
func (l *Link) Watch(id uint64, c WatchChange) error {
	return l.endpoint.mailbox.Post(&watch{epoch: l.epoch, id: id, WatchChange: c})
}

// WatchWait is Watch for a front end that is not the endpoint's connection.
func (l *Link) WatchWait(ctx context.Context, c WatchChange) (Answer, error) {
	got := make(chan Answer, 1)
	err := l.endpoint.mailbox.Post(&watch{WatchChange: c, done: func(a Answer) { got <- a }})
	if err != nil {
		return Answer{}, err
	}
	select {
	case a := <-got:
		return a, a.Err
	case <-l.endpoint.done():
		return Answer{}, messages.ErrBadID.With("the endpoint has ended")
	case <-ctx.Done():
		return Answer{}, messages.ErrTimeout
	}
}

// Ack says that every batch up to seq has arrived.
func (l *Link) Ack(seq uint64) error {
	return l.endpoint.mailbox.Post(ack{l.epoch, seq})
}

// Active says that the device's user is active now.
func (l *Link) Active(id uint64) error {
	return l.endpoint.mailbox.Post(activity{l.epoch, id})
}

// Bye ends the endpoint for good: its session leaves the presence at once and
// its list is forgotten.
func (l *Link) Bye(id uint64) error {
	return l.endpoint.mailbox.Post(bye{l.epoch, id})
}

// Closed says that the connection is gone. The endpoint waits for the client to
// come back.
func (l *Link) Closed() { l.endpoint.mailbox.PostOwn(detach{l.epoch}) }
