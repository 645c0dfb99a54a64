package client

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"rollcall/messages"
)

// gateway is one address of the service.
type gateway struct {
	server string    // as the caller or another gateway has called it
	stream string    // URL of the WebSocket
	asks   time.Time // not to be bothered before
}

// maxAddress bounds the address in a hint, in bytes.
const maxAddress = 1024

func newGateway(server string) (gateway, error) {
	u, err := url.Parse(strings.TrimSuffix(server, "/"))
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || len(server) > maxAddress {
		return gateway{}, fmt.Errorf("%w: Server must be an address such as http://127.0.0.1:8080, not %.64q", ErrConfig, server)
	}
	switch u.Scheme {
	case "http", "https", "ws", "wss":
	default:
		return gateway{}, fmt.Errorf("%w: Server must begin with http:// or https://, not %.64q", ErrConfig, server)
	}
	u.Path += "/v1/stream"
	return gateway{server: server, stream: u.String()}, nil
}

// private says whether nobody on the way can read what is said.
func (g *gateway) private() bool {
	return strings.HasPrefix(g.stream, "https:") || strings.HasPrefix(g.stream, "wss:")
}

// gateways are the addresses to connect to, and which one has its turn. They
// belong to the goroutine that connects.
type gateways struct {
	all     []gateway
	turn    int
	hinted  *gateway // has its turn instead of all[turn]
	changed time.Time
}

// gateways reads the addresses, each once.
func (cfg *Config) gateways() (g gateways, err error) {
	servers := cfg.Servers
	if cfg.Server != "" || len(servers) == 0 {
		servers = append([]string{cfg.Server}, servers...)
	}
	known := map[string]bool{}
	for _, s := range servers {
		one, err := newGateway(s)
		if err != nil {
			return g, err
		}
		if !known[one.stream] {
			known[one.stream] = true
			g.all = append(g.all, one)
		}
	}
	return g, nil
}

func (g *gateways) present() *gateway {
	if g.hinted != nil {
		return g.hinted
	}
	return &g.all[g.turn]
}

// next gives the turn to the next one in the list that may be bothered, or to
// the one that may be soonest. With one address it is that one again.
func (g *gateways) next(now time.Time) {
	g.hinted = nil
	best := -1
	for i := range g.all {
		k := (g.turn + 1 + i) % len(g.all)
		switch asks := g.all[k].asks; {
		case !asks.After(now):
			g.turn = k
			return
		case best < 0 || asks.Before(g.all[best].asks):
			best = k
		}
	}
	g.turn = best
}

// follow gives the turn to the address of a hint.
func (g *gateways) follow(to gateway) {
	g.hinted = nil
	for i := range g.all {
		if g.all[i].stream == to.stream {
			g.turn = i
			return
		}
	}
	g.hinted = &to
}

// hint is where a gateway that goes away sends its clients, and when.
type hint struct {
	to    gateway // zero: wherever the client likes
	delay time.Duration
}

// readHint takes from a notice what can be followed. An address that would give
// the token to whoever listens, where it was private before, cannot.
func readHint(n *messages.Notice, from *gateway) *hint {
	h := &hint{delay: time.Duration(min(max(n.DelayMs, 0), maxBackoff.Milliseconds())) * time.Millisecond}
	if to, err := newGateway(n.Url); err == nil && (to.private() || !from.private()) {
		h.to = to
	}
	return h
}

// hindsight is for how long after a change of gateways word of the connection
// before may overtake that of the present one.
const hindsight = 30 * time.Second

// mistaken says whether the end of a connection may be a mistake of gateways that
// do not agree yet which of two connections of this client is the newer one.
func (g *gateways) mistaken(err error) bool {
	var c *Closed
	return errors.As(err, &c) && c.Code == superseded && time.Since(g.changed) < hindsight
}

// route decides where to connect next, and how long to wait before. A hint is
// waited for as long as it says, and longer by those who get one after another.
func (c *Client) route(e ending, h *hint, tries int) time.Duration {
	g, now := &c.gateways, time.Now()
	var wait time.Duration
	if h != nil {
		wait = h.delay
	}
	if h == nil || tries > 0 {
		wait += c.cfg.jitter(backoff(tries))
	}
	from := g.present()
	defer func() {
		if g.present().stream != from.stream {
			g.changed = now
		}
	}()
	if h != nil && h.to.stream != "" {
		g.follow(h.to)
		return wait
	}
	from.asks = now.Add(e.wait)
	g.next(now)
	return wait + max(g.present().asks.Sub(now), 0)
}
