package client

import "time"

// NoJitter makes the pause before an attempt the longest that it may be.
func NoJitter(cfg Config) Config {
	return Jitter(cfg, func(most time.Duration) time.Duration { return most })
}

// Jitter replaces the chance in a Config.
func Jitter(cfg Config, f func(time.Duration) time.Duration) Config {
	cfg.jitter = f
	return cfg
}

// Codec is one of the encodings, for tests of both.
type Codec = codec

// Codecs are all of them.
var Codecs = map[string]Codec{"proto": protoCodec{}, "json": jsonCodec{}}

// RenewIn and Backoff for tests of their rules.
var (
	RenewIn = renewIn
	Backoff = backoff
)

// Pending is how many changes the caller has not taken.
func (c *Client) Pending() int {
	c.feed.mu.Lock()
	defer c.feed.mu.Unlock()
	return len(c.feed.order)
}
