package cluster

import (
	"errors"

	"rollcall/messages"
)

// ErrAddress is returned for a string that names no actor.
var ErrAddress = errors.New("cluster: not an actor address")

// Errors of Tell, Ask and Post. They carry the codes that clients see.
var (
	ErrOverloaded = messages.ErrOverloaded // the mailbox, or the way to the owner, is full
	ErrMoved      = messages.ErrMoved      // no owner took it for about two seconds
	ErrTimeout    = messages.ErrTimeout    // outcome unknown
	ErrClosed     = messages.ErrClosing    // the node shuts down, or the actor has ended
	ErrNoRoute    = messages.ErrMoved.With("the shard has no owner yet, send it again")
)
