package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"rollcall/messages"
	"rollcall/presence"
	"rollcall/trouter"
)

// Config says who connects, to where, and who is told. Token and one of Server
// and Servers are needed, the zero value of everything else is a good one.
type Config struct {
	// Server is the address that the node prints, http:// or https://.
	Server string
	// Servers are further addresses, of nodes of the same cluster. When one
	// cannot be reached or ends the connection, the next has its turn.
	Servers []string
	// Token supplies an access token of one and the same user. It is asked for
	// each connection and again before the token ends, and should return one
	// with some life left. StaticToken wraps a fixed one.
	Token func(ctx context.Context) (string, error)
	// Endpoint names this device or process among the user's: 1-64 of
	// [A-Za-z0-9_.:-], not used by two at a time. Empty is a new random one.
	Endpoint string
	// Device is the kind of device, by default Desktop.
	Device presence.Device
	// Encoding is how frames travel.
	Encoding Encoding
	// OnChange gets every change, OnState the newest state of the connection.
	// They are called from one goroutine, never at the same time, and must not
	// call Close. Without OnChange, read Changes.
	OnChange func(Presence)
	OnState  func(State)
	// HTTP makes the connection; nil is a client of its own that honours the
	// proxy settings of the environment.
	HTTP *http.Client
	// Log gets a line for each lost connection; nil logs nothing.
	Log *slog.Logger

	named  bool                              // Endpoint was given
	jitter func(time.Duration) time.Duration // between 0 and the argument
}

// StaticToken is a Config.Token for a token that somebody else keeps fresh, or
// that need not outlive the program. When it ends, so does the client.
func StaticToken(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

// Client is one endpoint's connection to Rollcall, kept up until Close. All
// methods may be called at any time from any goroutine.
type Client struct {
	cfg      Config
	gateways gateways
	codec    codec
	http     *http.Client
	feed     *feed
	changes  chan Presence
	wake     chan struct{} // the writer may have something to do
	ctx      context.Context
	stop     context.CancelFunc
	wg       sync.WaitGroup

	mu       sync.Mutex
	state    State
	moved    chan struct{} // closed and replaced when state changes
	failures int           // attempts and connections that have ended
	home     presence.TenantID
	session  session
	watched  map[string]bool     // wanted users, as the caller or the node calls them
	latest   map[string]Presence // of watched users
	calls    []*call             // not answered, oldest first
	lastCall uint64
	device   *messages.SourcePublish // the device's state, for reconnects
	active   time.Time               // when the node was last told of activity
	signOut  bool
}

// session is what survives a connection.
type session struct {
	id       string
	receiver trouter.Receiver
	lost     time.Time
	inherits bool // the node may still have the list of an earlier process
	synced   bool // the node is known to have the list of this one
}

// New starts a client that connects in the background, however long that takes.
// Errors are ErrConfig.
func New(cfg Config) (*Client, error) {
	to, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, gateways: to, codec: protoCodec{}, http: cfg.HTTP,
		feed: newFeed(), changes: make(chan Presence), wake: make(chan struct{}, 1),
		state: State{Status: Connecting, Since: time.Now()}, moved: make(chan struct{}),
		session: session{inherits: cfg.named}, watched: map[string]bool{}, latest: map[string]Presence{},
	}
	if cfg.Encoding == JSON {
		c.codec = jsonCodec{}
	}
	if c.http == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		c.http = &http.Client{Transport: transport}
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	over := make(chan struct{})
	c.wg.Go(func() {
		defer close(over)
		c.run()
	})
	c.wg.Go(func() {
		defer close(c.changes)
		c.feed.deliver(c.ctx, over, &c.cfg, c.changes)
	})
	return c, nil
}

// Dial is New that waits for the first connection. When every address was tried
// once it returns the last error instead of trying again. ctx bounds the waiting
// only.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	c, err := New(cfg)
	if err != nil {
		return nil, err
	}
	for {
		s, moved, failures := c.watchState()
		switch {
		case s.Status == Connected:
			return c, nil
		case s.Status == Ended || failures >= len(c.gateways.all):
			return nil, errors.Join(s.Err, c.Close())
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("no connection yet: %w", errors.Join(ctx.Err(), s.Err)), c.Close())
		}
	}
}

// complete fills in defaults and returns the addresses to connect to.
func (cfg *Config) complete() (to gateways, err error) {
	if cfg.Token == nil {
		return to, fmt.Errorf("%w: Token is missing", ErrConfig)
	}
	if to, err = cfg.gateways(); err != nil {
		return to, err
	}
	if cfg.named = cfg.Endpoint != ""; !cfg.named {
		cfg.Endpoint = "go-" + strings.ToLower(rand.Text())
	}
	if len(cfg.Endpoint) > 64 || strings.IndexFunc(cfg.Endpoint, notInEndpoint) >= 0 {
		return to, fmt.Errorf("%w: Endpoint must be 1 to 64 of A-Z a-z 0-9 _ . : -", ErrConfig)
	}
	if cfg.Device == presence.DeviceUnknown {
		cfg.Device = presence.Desktop
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.jitter == nil {
		cfg.jitter = jitter
	}
	return to, nil
}

func notInEndpoint(r rune) bool {
	switch {
	case r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r >= '0' && r <= '9':
		return false
	}
	return !strings.ContainsRune("_.:-", r)
}

// Endpoint is this client's endpoint id.
func (c *Client) Endpoint() string { return c.cfg.Endpoint }

// Changes carries what OnChange would get. It is closed when the client has ended
// and everything was read, by Close at once. What is not read is replaced by what
// is newer, user by user.
func (c *Client) Changes() <-chan Presence { return c.changes }

// Presence is the newest presence of a watched user; false before the first.
func (c *Client) Presence(user string) (Presence, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name, err := canonical(user, c.home)
	if err != nil {
		return Presence{}, false
	}
	p, ok := c.latest[name]
	return p, ok
}

// Close ends the connection and waits for everything that the client started.
// The user's device stays present for the tenant's grace (15 s by default), so
// that a restart does not show; use SignOut to leave at once.
func (c *Client) Close() error {
	c.stop()
	c.wg.Wait()
	if c.cfg.HTTP == nil {
		c.http.CloseIdleConnections()
	}
	return nil
}

// SignOut ends the device's session, forgets the list of watched users on the
// node, and closes the client whatever the node says. It waits for the node's
// answer as long as ctx lasts.
func (c *Client) SignOut(ctx context.Context) error {
	c.mu.Lock()
	c.signOut = true
	c.mu.Unlock()
	_, err := c.do(ctx, &messages.ClientFrame{Frame: &messages.ClientFrame_Bye{Bye: &messages.Bye{}}})
	if errors.Is(err, ErrClosed) && c.State().signedOut() {
		err = nil
	}
	return errors.Join(err, c.Close())
}

// Publish tells the node what a source says now and returns when it is stored,
// with the version of the user's presence. If the answer gets lost it is asked
// for again; when ctx ends first the outcome is not known, and publishing the
// same again is right.
func (c *Client) Publish(ctx context.Context, s Source) (presence.Version, error) {
	f := s.frame()
	done, err := c.do(ctx, &messages.ClientFrame{Frame: &messages.ClientFrame_Publish{Publish: f}})
	if err != nil {
		return 0, fmt.Errorf("publish %s: %w", f.Source, err)
	}
	return presence.Version(done.Version), nil
}

// activeEvery spares the node: fading begins after minutes.
const activeEvery = 15 * time.Second

// Active says that somebody uses the device now, which keeps Available from
// fading. It never waits; calls in quick succession count as one.
func (c *Client) Active() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.state.Status != Connected || c.device == nil || now.Sub(c.active) < activeEvery {
		return
	}
	c.active = now
	c.calls = append(c.calls, &call{frame: activeFrame(), link: true})
	nudge(c.wake)
}

func activeFrame() *messages.ClientFrame {
	return &messages.ClientFrame{Frame: &messages.ClientFrame_Activity{Activity: &messages.Activity{Active: true}}}
}
