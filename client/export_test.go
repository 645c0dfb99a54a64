package client

import (
	"time"

	"rollcall/messages"
)

// NoJitter makes the pause before an attempt the longest that it may be.
func NoJitter(cfg Config) Config {
	return Jitter(cfg, func(most time.Duration) time.Duration { return most })
}

// Jitter replaces the chance in a Config.
func Jitter(cfg Config, f func(time.Duration) time.Duration) Config {
	cfg.jitter = f
	return cfg
}

// Encode and Decode are the encodings, by name.
var (
	Encode = map[string]func(*messages.ClientFrame) ([]byte, error){
		"proto": protoCodec{}.encode, "json": jsonCodec{}.encode,
	}
	Decode = map[string]func([]byte) (*messages.ServerFrame, error){
		"proto": protoCodec{}.decode, "json": jsonCodec{}.decode,
	}
)

// RenewIn and Backoff for tests of their rules.
var (
	RenewIn = renewIn
	Backoff = backoff
)

// Hinted is what a client that is connected to from makes of a notice: the
// address, if it follows one, and the delay.
func Hinted(from string, n *messages.Notice) (string, time.Duration) {
	at, err := newGateway(from)
	if err != nil {
		panic(err)
	}
	h := readHint(n, &at)
	return h.to.server, h.delay
}

// Pending is how many changes the caller has not taken.
func (c *Client) Pending() int {
	c.feed.mu.Lock()
	defer c.feed.mu.Unlock()
	return len(c.feed.order)
}

// Canonical is the name that a node gives a user.
var Canonical = canonical
