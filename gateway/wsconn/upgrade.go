package wsconn

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// Config is what connections of one kind share. The zero value works. It must
// not be changed or copied after its first Upgrade.
type Config struct {
	MaxMessage   int           // bytes of one message from the peer; 0: 16 KiB
	MaxFragments int           // frames of one message; 0: 16
	OutboxLimit  int           // bytes queued and not yet written; 0: 256 KiB
	WriteTimeout time.Duration // in which a slow peer must take 16 KiB; 0: 10 s

	// Subprotocols are those the server speaks; the first of the peer's list
	// that is among them is agreed. A peer that offers none gets none; one that
	// offers only others is refused. Empty: what the peer offers is ignored.
	Subprotocols []string

	// Origin decides about a request with an Origin header, as browsers send
	// it. Nil admits the server's own host only.
	Origin func(origin, host string) bool

	answerWait time.Duration // shortened by tests; 0: defaultCloseWait
	panics     atomic.Uint64
	crew       crew
}

// Panics counts the callbacks that panicked.
func (c *Config) Panics() uint64 { return c.panics.Load() }

func (c *Config) maxMessage() int             { return positive(c.MaxMessage, 16<<10) }
func (c *Config) maxFragments() int           { return positive(c.MaxFragments, 16) }
func (c *Config) outboxLimit() int            { return positive(c.OutboxLimit, 256<<10) }
func (c *Config) writeTimeout() time.Duration { return positive(c.WriteTimeout, 10*time.Second) }
func (c *Config) closeWait() time.Duration    { return positive(c.answerWait, defaultCloseWait) }

func positive[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// HandshakeError is a refused request. The answer has been written.
type HandshakeError struct {
	Status int
	Text   string
}

func (e *HandshakeError) Error() string {
	return fmt.Sprintf("wsconn: handshake refused with %d: %s", e.Status, e.Text)
}

// Upgrade makes the request a WebSocket connection. On an error the HTTP
// answer has been written: 400, 403 (origin), 405 (not GET) or 426 (not a
// WebSocket request, or not version 13), with a text that says what is wrong.
// Extensions, compression among them, are never agreed.
//
// The caller must call Serve or Close on the result.
func (c *Config) Upgrade(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	subprotocol, refused := c.check(r)
	if refused != nil {
		refused.write(w)
		return nil, refused
	}
	up := ws.HTTPUpgrader{Timeout: c.writeTimeout()}
	if subprotocol != "" {
		up.Protocol = func(p string) bool { return p == subprotocol }
	}
	nc, rw, _, err := up.Upgrade(plainRequest(r, subprotocol), w)
	if err != nil {
		if nc != nil {
			err = errors.Join(err, nc.Close())
		}
		return nil, fmt.Errorf("wsconn: handshake: %w", err)
	}
	conn := &Conn{cfg: c, subprotocol: subprotocol}
	conn.open(nc, c)
	conn.dec.maxMessage, conn.dec.maxFragments = int32(min(c.maxMessage(), math.MaxInt32)), int32(min(c.maxFragments(), math.MaxInt32))
	if early, _ := rw.Reader.Peek(rw.Reader.Buffered()); len(early) > 0 { // Peek of what is buffered cannot fail
		conn.dec.tail = append([]byte(nil), early...)
	}
	conn.heard.Store(monotonic())
	return conn, nil
}

// plainRequest holds what was checked and nothing else, one value per header,
// so that the codec decides on the same facts.
func plainRequest(r *http.Request, subprotocol string) *http.Request {
	h := http.Header{
		"Upgrade":               {"websocket"},
		"Connection":            {"Upgrade"},
		"Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key":     {r.Header.Get("Sec-WebSocket-Key")},
	}
	if subprotocol != "" {
		h.Set("Sec-WebSocket-Protocol", subprotocol)
	}
	return &http.Request{Method: r.Method, Host: r.Host, ProtoMajor: 1, ProtoMinor: 1, Header: h}
}

func (e *HandshakeError) write(w http.ResponseWriter) {
	switch e.Status {
	case http.StatusUpgradeRequired:
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Version", "13")
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodGet)
	}
	http.Error(w, e.Text, e.Status)
}

// check returns the subprotocol to agree on, or why the request is refused.
func (c *Config) check(r *http.Request) (string, *HandshakeError) {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	switch {
	case r.Method != http.MethodGet:
		return "", &HandshakeError{http.StatusMethodNotAllowed, "a WebSocket handshake is a GET request"}
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return "", &HandshakeError{http.StatusBadRequest, "a WebSocket handshake needs HTTP/1.1"}
	case !hasToken(r.Header, "Upgrade", "websocket"):
		return "", &HandshakeError{http.StatusUpgradeRequired, "this address speaks WebSocket: send Upgrade: websocket"}
	case !hasToken(r.Header, "Connection", "upgrade"):
		return "", &HandshakeError{http.StatusBadRequest, "the header Connection: Upgrade is missing; a proxy may have removed it"}
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return "", &HandshakeError{http.StatusUpgradeRequired, "only WebSocket version 13 is spoken: send Sec-WebSocket-Version: 13"}
	case len(r.Header.Values("Sec-WebSocket-Key")) != 1 || err != nil || len(key) != 16:
		return "", &HandshakeError{http.StatusBadRequest, "Sec-WebSocket-Key must be 16 bytes in base64, once"}
	case !c.admits(r):
		return "", &HandshakeError{http.StatusForbidden, "this origin may not connect"}
	}
	return c.agree(r)
}

func (c *Config) admits(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	switch {
	case len(origins) == 0:
		return true
	case len(origins) > 1:
		return false
	case c.Origin != nil:
		return c.Origin(origins[0], r.Host)
	}
	u, err := url.Parse(origins[0])
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

func (c *Config) agree(r *http.Request) (string, *HandshakeError) {
	offered := tokens(r.Header, "Sec-WebSocket-Protocol")
	if len(c.Subprotocols) == 0 || len(offered) == 0 {
		return "", nil
	}
	for _, p := range offered {
		if slices.Contains(c.Subprotocols, p) {
			return p, nil
		}
	}
	return "", &HandshakeError{http.StatusBadRequest,
		"none of the offered subprotocols is spoken here; spoken are: " + strings.Join(c.Subprotocols, ", ")}
}

// tokens splits a comma-separated header, over all its lines, and leaves out
// empty items.
func tokens(h http.Header, name string) []string {
	var all []string
	for _, line := range h.Values(name) {
		for item := range strings.SplitSeq(line, ",") {
			if item = strings.TrimSpace(item); item != "" {
				all = append(all, item)
			}
		}
	}
	return all
}

func hasToken(h http.Header, name, token string) bool {
	return slices.ContainsFunc(tokens(h, name), func(t string) bool { return strings.EqualFold(t, token) })
}
