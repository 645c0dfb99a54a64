package client

import (
	"errors"
	"fmt"
	"time"
)

// Status is where a client stands.
type Status uint8

// The statuses. Ended is final.
const (
	Connecting Status = iota
	Connected
	Waiting // for the next attempt
	Ended
)

func (s Status) String() string {
	names := []string{"connecting", "connected", "waiting", "ended"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// State is a client's connection at one moment.
type State struct {
	Status  Status
	Since   time.Time // when Status began
	Err     error     // why the last connection or attempt ended; nil while connected
	Retry   time.Time // of Waiting: when the next attempt begins
	Resumed bool      // of Connected: nothing was missed and nothing is sent again
	User    string    // who the token's user is, known after the first connection
	URL     string    // the endpoint's Trouter URL, for front ends that watch on its behalf
	Server  string    // of Connected: the address of the node
}

func (s State) signedOut() bool {
	var c *Closed
	return s.Status == Ended && errors.As(s.Err, &c) && c.Code == 1000
}

// State tells how the connection is now.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// watchState also returns a channel that is closed when the state changes, and
// how many attempts and connections have ended.
func (c *Client) watchState() (s State, moved <-chan struct{}, failures int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.moved, c.failures
}

// move changes the state; c.mu is held.
func (c *Client) move(s State) {
	s.Since = time.Now()
	if s.User == "" {
		s.User, s.URL = c.state.User, c.state.URL
	}
	c.state = s
	close(c.moved)
	c.moved = make(chan struct{})
	c.feed.putState(s)
}
