package actors

import "time"

// Conn is a client's connection as its endpoint sees it; every framing (JSON,
// protobuf, server-sent events) is one. The endpoint calls it from its own turns
// only, so calls never overlap. No method may block: bytes go to the
// connection's outbox, and what does not fit there closes it.
type Conn interface {
	// Welcome is called once, before anything else.
	Welcome(a Attached)
	// SendBatch queues one batch. updates are shared and must not be changed.
	SendBatch(seq uint64, updates []*Update)
	// Answer queues the answer to the client's request id.
	Answer(id uint64, a Answer)
	// Flush writes what is queued, in as few writes as possible.
	Flush()
	// Ping asks the client for a sign of life.
	Ping()
	// LastHeard is when the client was last heard of.
	LastHeard() time.Time
	// Move queues where and when the client should connect next. A Close follows.
	Move(h Hint)
	// Close ends the connection with a reason. Later calls do nothing.
	Close(r CloseReason)
}

// CloseReason says why an endpoint ends a connection. The framing turns it into
// its own close code.
type CloseReason uint8

// The reasons.
const (
	CloseSuperseded CloseReason = iota + 1 // the same endpoint connected again
	CloseSlow                              // nothing was acknowledged for too long
	CloseSilent                            // nothing was heard for too long
	CloseGoingAway                         // the node shuts down
	CloseProtocol                          // an acknowledgement of what was never sent
	CloseEnded                             // the client said goodbye
)

// Answer is what a client's request led to.
type Answer struct {
	Err      error  // *messages.Error or nil
	Version  uint64 // of a publish
	Copies   int    // of a publish: nodes that had stored it, 0 if it changed nothing
	Refused  []string
	Watching int
}
