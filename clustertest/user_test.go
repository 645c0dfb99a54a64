package clustertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"rollcall/client"
	"rollcall/messages"
	"rollcall/presence"
)

// user is a simulated person: one connection by the SDK, or none and plain HTTP.
type user struct {
	number  int
	crowd   *crowd
	home    int   // place of its usual gateway among all
	watches []int // numbers of users
	post    bool  // no connection
	client  *client.Client
	kicked  chan struct{} // publish soon
	random  *rand.Rand

	mu      sync.Mutex
	gateway string // node that it is connected to, or was last
	gone    bool   // its device was taken away
	busy    bool   // a publish is on its way
	unsure  bool   // without a connection, and a publish that nobody answered may still arrive
}

// device states whose names differ for whoever watches.
var states = []shown{
	{presence.Available, presence.ActAvailable},
	{presence.Busy, presence.ActInACall},
	{presence.DoNotDisturb, presence.ActPresenting},
	{presence.BeRightBack, presence.ActBeRightBack},
	{presence.Busy, presence.ActInAConferenceCall},
	{presence.Away, presence.ActAway},
}

// statesPosted are those that an application may publish too.
var statesPosted = []shown{states[0], states[1], states[2], states[4], states[5]}

// config lists all gateways, the usual one first.
func (u *user) config() client.Config {
	servers := u.crowd.cluster.gateways()
	at := u.home % len(servers)
	return client.Config{
		Servers: append(servers[at:len(servers):len(servers)], servers[:at]...), Device: presence.Desktop,
		Token:    client.StaticToken(u.crowd.cluster.issuer.token(u.number)),
		OnChange: u.onChange, OnState: u.onState,
		Endpoint: fmt.Sprintf("test-%d", u.number),
	}
}

func (u *user) connect() error {
	if u.post {
		return nil
	}
	ctx, cancel := context.WithTimeout(u.crowd.ctx, patience)
	defer cancel()
	c, err := client.Dial(ctx, u.config())
	if err != nil {
		return fmt.Errorf("user %d: %w", u.number, err)
	}
	u.client = c
	var names []string
	for _, w := range u.watches {
		names = append(names, userMRI(w))
	}
	if err := c.Watch(ctx, names...); err != nil {
		return fmt.Errorf("user %d: watch: %w", u.number, err)
	}
	return nil
}

func (u *user) onChange(p client.Presence) {
	n, err := userNumber(p.User)
	if err != nil {
		u.crowd.record.refused("a change of nobody: " + p.User)
		return
	}
	u.crowd.record.saw(sight{u.number, n, p.Received, p.Version, shown{p.Availability, p.Activity}})
}

func (u *user) onState(s client.State) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case s.Status == client.Connected:
		u.gateway = u.crowd.cluster.nameOf(s.Server)
	case s.Status == client.Waiting && !u.gone:
		u.crowd.record.reconnected(u.number, s.Since)
	}
}

// at is the node that the user is connected to, or was last, or would ask.
func (u *user) at() string {
	if u.post {
		all := u.crowd.cluster.gateways()
		return u.crowd.cluster.nameOf(all[u.home%len(all)])
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.gateway
}

func userNumber(mri string) (n int, err error) {
	_, err = fmt.Sscanf(mri[max(0, len(mri)-12):], "%x", &n)
	return n, err
}

func (u *user) isGone() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.gone
}

// vanish takes the device away without a word.
func (u *user) vanish() {
	u.mu.Lock()
	u.gone = true
	u.mu.Unlock()
	if u.client != nil {
		_ = u.client.Close() // its gateway is dead
	}
}

// live publishes at its times, until the end. What could not be published in
// time is not made up for: the newest state is published as soon as it can be.
func (u *user) live(ctx context.Context) {
	due := time.Now().Add(rand.N(publishVary))
	for n := u.number; ; n++ {
		t := time.NewTimer(time.Until(due))
		select {
		case <-t.C:
		case <-u.kicked:
			due = time.Now().Add(rand.N(kickWithin))
			t.Reset(time.Until(due))
			select {
			case <-t.C:
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil || u.isGone() {
			return
		}
		if !u.crowd.isCalm() && (u.number%still != 0 || !u.crowd.record.faulty()) {
			u.publish(ctx, n, due)
			u.look(ctx)
		}
		due = due.Add(publishGap + time.Duration(u.random.Int64N(int64(publishVary))))
		if now := time.Now(); due.Before(now) {
			due = now
		}
	}
}

// publish tells a state until a node has taken it.
func (u *user) publish(ctx context.Context, n int, due time.Time) {
	u.setBusy(true)
	defer u.setBusy(false)
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	s := states[n%len(states)]
	if u.post {
		s = statesPosted[n%len(statesPosted)]
	}
	a := ack{user: u.number, due: due, state: s, owner: u.crowd.owner(u.number), gateway: u.at()}
	for !u.isGone() {
		v, err := u.send(ctx, s)
		if err == nil {
			a.at, a.version = time.Now(), v
			u.crowd.record.acked(a)
			return
		}
		wait := again(err)
		if ctx.Err() == nil {
			u.crowd.record.refused(reason(err))
			u.doubt(err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			if u.crowd.ctx.Err() == nil && !u.isGone() {
				u.crowd.record.refused("given up after a minute: " + reason(err))
			}
			return
		}
	}
}

// look reads those whom a user without a connection watches.
func (u *user) look(ctx context.Context) {
	if !u.post || ctx.Err() != nil {
		return
	}
	c := u.crowd.cluster
	all := c.gateways()
	items, err := c.read(ctx, all[u.home%len(all)], u.number, u.watches)
	if err != nil {
		return // of a gateway that is down; the next one is asked next time
	}
	u.crowd.record.read(u.number, time.Now(), items)
}

// doubt notes that a publish may have happened, or may yet: without a connection
// nothing says in which order the node takes two of them.
func (u *user) doubt(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.unsure = u.unsure || u.post && errors.Is(err, context.DeadlineExceeded)
}

func (u *user) isUnsure() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.unsure
}

func (u *user) setBusy(busy bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.busy = busy
}

func (u *user) send(ctx context.Context, s shown) (presence.Version, error) {
	if !u.post {
		return u.client.Publish(ctx, client.Device{Availability: s.availability, Activity: s.activity})
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cfg := u.config()
	// A request that waits in a connection that is kept would be sent when the cable is back, long given up.
	cfg.HTTP = u.crowd.cluster.http
	u.home++ // another one next time: this one may be slow to show that it is dead
	return client.Post(ctx, cfg, client.App{
		Key: "5a1e0000-6c1f-4f0e-a9be-00000000000a", Availability: s.availability, Activity: s.activity, Duration: time.Hour,
	})
}

// again is how long a client waits before it tries once more.
func again(err error) time.Duration {
	var e *client.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return 100 * time.Millisecond
}

// reason is an error in a word or two, to be counted.
func reason(err error) string {
	var e *messages.Error
	var c *client.Closed
	var r *refusal
	switch {
	case errors.As(err, &r):
		return fmt.Sprintf("%d %s", r.status, cmp.Or(r.code, r.text))
	case errors.As(err, &e):
		return e.Code
	case errors.As(err, &c):
		return fmt.Sprintf("closed with %d", c.Code)
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer"
	}
	return "no connection"
}
