package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"rollcall/messages"
)

const (
	minBackoff = time.Second
	maxBackoff = 30 * time.Second
	// settled is how long a connection must have lasted for the next failure to
	// count as the first.
	settled = 10 * time.Second
	// patience bounds each step of connecting: token, handshake, welcome.
	patience = 15 * time.Second
	// maxFrame is far above what a batch can take, in bytes.
	maxFrame = 1 << 20
)

// run connects again and again until the client is closed or it is pointless.
func (c *Client) run() {
	tries, strikes := 0, 0
	for {
		lasted, h, err := c.connect()
		if c.ctx.Err() != nil {
			c.end(nil)
			return
		}
		if lasted >= settled {
			tries, strikes = 0, 0
		}
		e := endingOf(err)
		if c.gateways.mistaken(err) {
			e = ending{strike: true}
		}
		if e.strike {
			strikes++
		}
		if e.final || strikes == maxStrikes {
			c.end(err)
			return
		}
		if e.fresh {
			c.session.id = ""
		}
		c.pause(c.route(e, h, tries), err)
		tries++
	}
}

// backoff is the longest wait before another attempt; the wait itself is drawn
// evenly from all below, so that clients which lost the same node come back
// spread out.
func backoff(tries int) time.Duration {
	return min(minBackoff<<min(tries, 10), maxBackoff)
}

func jitter(most time.Duration) time.Duration { return rand.N(most) }

func (c *Client) pause(d time.Duration, err error) {
	c.cfg.Log.Info("not connected", "error", err, "retryIn", d)
	c.mu.Lock()
	c.failures++
	c.move(State{Status: Waiting, Err: err, Retry: time.Now().Add(d)})
	c.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.ctx.Done():
	}
}

// end is final: whoever waits for an answer gets the reason.
func (c *Client) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.move(State{Status: Ended, Err: err})
	c.failAll()
}

// connect makes one connection and returns when it is over: how long it was up,
// and where to go from there if the gateway has said so.
func (c *Client) connect() (time.Duration, *hint, error) {
	c.mu.Lock()
	if c.state.Status != Connecting {
		c.move(State{Status: Connecting, Err: c.state.Err})
	}
	c.mu.Unlock()
	token, err := c.token(c.ctx)
	if err != nil {
		return 0, nil, err
	}
	l := newLink(c, token)
	if err := l.open(); err != nil {
		return 0, nil, err
	}
	up := time.Now()
	err = l.serve()
	c.mu.Lock()
	c.session.lost = time.Now()
	c.mu.Unlock()
	return time.Since(up), l.hint, err
}

func (c *Client) token(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	token, err := c.cfg.Token(ctx)
	if err != nil {
		return "", fmt.Errorf("get a token: %w", err)
	}
	return token, nil
}

// dial makes the handshake. A refusal in the protocol's error form is an *Error.
func (c *Client) dial(to *gateway, heard func()) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, to.stream, &websocket.DialOptions{ //nolint:bodyclose // nothing is left to close: see its documentation
		HTTPClient: c.http, Subprotocols: []string{c.codec.subprotocol()},
		OnPingReceived: func(context.Context, []byte) bool {
			heard()
			return true
		},
	})
	if err != nil {
		return nil, dialError(to.server, resp, err)
	}
	if ws.Subprotocol() != c.codec.subprotocol() {
		_ = ws.CloseNow() // nothing was said yet
		return nil, fmt.Errorf("%w: %s does not speak %s", ErrProtocol, to.server, c.codec.subprotocol())
	}
	ws.SetReadLimit(maxFrame)
	return ws, nil
}

func dialError(server string, resp *http.Response, err error) error {
	if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("connect to %s: %w", server, refused(resp))
	}
	return unreached(server, err)
}

// unreached says plainly that there is no connection.
func unreached(server string, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("no connection to %s: %w", server, err)
}

// refused reads why a handshake was answered with anything but a switch of
// protocols.
func refused(resp *http.Response) error {
	var body struct {
		Error struct {
			Code         string `json:"code"`
			Message      string `json:"message"`
			RetryAfterMs int64  `json:"retryAfterMs"`
		} `json:"error"`
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxFrame)) // what is missing is not understood
	e := &Error{Code: "http_" + strconv.Itoa(resp.StatusCode), Text: "the answer was " + resp.Status}
	if json.Unmarshal(text, &body) == nil && body.Error.Code != "" {
		e.Code, e.Text = body.Error.Code, body.Error.Message
		e.RetryAfter = time.Duration(body.Error.RetryAfterMs) * time.Millisecond
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && e.RetryAfter == 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	if e.RetryAfter == 0 && resp.StatusCode >= 500 {
		e.RetryAfter = minBackoff
	}
	return e
}

// failure is an error frame as an error.
func failure(f *messages.Failure) *Error {
	return &Error{Code: f.Code, Text: f.Text, RetryAfter: time.Duration(f.RetryAfterMs) * time.Millisecond}
}
