package actors

import (
	"context"
	"errors"
	"sync"
	"time"

	"rollcall/cluster"
	"rollcall/messages"
	"rollcall/presence"
)

// Snapshot is one user's presence as a viewer may see it. Version is 0 where
// the viewer may not see it or nothing was ever published.
type Snapshot struct {
	User    presence.UserID
	Version presence.Version
	State   presence.State
	Copies  int // of a publish: nodes that had stored it when it was answered, 0 if it changed nothing
}

// RequestTimeout bounds a request whose context has no deadline of its own.
const RequestTimeout = 5 * time.Second

// retries of requests that are safe to repeat, when the owner has just moved.
const retries = 3

// Publish applies mutations to a user's record and returns when they are stored
// (and the watchers' update is under way). device names the source for rate
// limits. received is when the front end got it, for the latency histogram.
// Errors are *messages.Error.
func (s *System) Publish(ctx context.Context, u presence.UserID, p Publish) (Snapshot, error) {
	a, err := ask[*messages.Published](ctx, s, cluster.User(u), p.message())
	if err == nil {
		err = a.Error.Err()
	}
	if err != nil {
		return Snapshot{}, err
	}
	return publishedAs(u, a), nil
}

func publishedAs(u presence.UserID, a *messages.Published) Snapshot {
	return Snapshot{u, presence.Version(a.GetVersion()), messages.ToState(a.GetState()), int(a.GetCopies())}
}

// Publish is what one source says about a user.
type Publish struct {
	Device    string // endpoint or application id
	Mutations []presence.Mutation
	Received  time.Time

	gateway string // process that holds the device's connection, empty if none does
	id      uint64 // rises per device and gateway
}

func (p *Publish) message() *messages.Publish {
	m := &messages.Publish{Device: p.Device, Received: p.Received.UnixNano(), Gateway: p.gateway, Id: p.id}
	for _, x := range p.Mutations {
		m.Mutations = append(m.Mutations, messages.FromMutation(x))
	}
	return m
}

// Read returns what viewer may see of u: all for the user itself, Offline for
// one that u has blocked, PresenceUnknown without trust. It is never refused.
func (s *System) Read(ctx context.Context, viewer, u presence.UserID) (Snapshot, error) {
	a, err := ask[*messages.Presence](ctx, s, cluster.User(u), &messages.Read{Viewer: messages.FromUser(viewer)})
	if err == nil {
		err = a.Error.Err()
	}
	if err != nil {
		return Snapshot{}, err
	}
	return Snapshot{User: u, Version: presence.Version(a.Version), State: messages.ToState(a.State)}, nil
}

// ReadMany reads users side by side and returns their snapshots in the order
// asked. A user whose owner does not answer in time is PresenceUnknown; only
// when nobody answers is there an error.
func (s *System) ReadMany(ctx context.Context, viewer presence.UserID, users []presence.UserID) ([]Snapshot, error) {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	out := make([]Snapshot, len(users))
	errs := make([]error, len(users))
	msg := &messages.Read{Viewer: messages.FromUser(viewer)}
	deadline, _ := ctx.Deadline()
	var wg sync.WaitGroup
	for i, u := range users {
		out[i].User = u
		wg.Add(1)
		s.node.Ask(cluster.User(u), msg, time.Until(deadline), func(a any, err error) {
			defer wg.Done()
			p, ok := a.(*messages.Presence)
			if err != nil || !ok {
				errs[i] = err
				return
			}
			out[i].Version, out[i].State = presence.Version(p.Version), messages.ToState(p.State)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err == nil {
			return out, nil
		}
	}
	return out, errors.Join(errs...)
}

// Blocks lists whom a user has blocked. Publish with presence.BlockKey changes
// the list.
func (s *System) Blocks(ctx context.Context, u presence.UserID) ([]presence.UserID, error) {
	a, err := ask[*messages.Blocks](ctx, s, cluster.User(u), &messages.ListBlocks{})
	if err == nil {
		err = a.Error.Err()
	}
	if err != nil {
		return nil, err
	}
	return messages.ToUsers(a.Users)
}

// Policy is the policy in force for a tenant on this node.
func (s *System) Policy(t presence.TenantID) presence.Policy {
	p := s.policies.of(t).Policy
	p.Tenant = t
	return p
}

// SetPolicy stores a tenant's policy and puts it in force: running watches
// follow within moments. It returns the policy with its version.
func (s *System) SetPolicy(ctx context.Context, p presence.Policy) (presence.Policy, error) {
	wire, err := messages.FromPolicy(p)
	if err != nil {
		return p, err
	}
	a, err := ask[*messages.PolicySet](ctx, s, cluster.Tenant(p.Tenant), &messages.SetPolicy{Policy: wire})
	if err == nil {
		err = a.Error.Err()
	}
	if err != nil {
		return p, err
	}
	return messages.ToPolicy(a.Policy)
}

// ask sends a request that is safe to repeat and waits for its answer.
func ask[A any](ctx context.Context, s *System, to cluster.Address, msg any) (A, error) {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	var none A
	for try := 1; ; try++ {
		a, err := s.node.Request(ctx, to, msg)
		if errors.Is(err, cluster.ErrMoved) && try < retries {
			continue
		}
		if err != nil && ctx.Err() != nil { // also when the client has hung up
			return none, messages.ErrTimeout
		}
		if err != nil {
			return none, err
		}
		answer, ok := a.(A)
		if !ok {
			return none, messages.ErrInternal
		}
		return answer, nil
	}
}

func withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, RequestTimeout)
}
