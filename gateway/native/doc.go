// Package native serves the native protocol: a WebSocket with JSON or protobuf
// frames, server-sent events, and the plain HTTP requests beside them.
//
// It owns the framing and what one connection may send: frame rates, bad
// frames, the time to the first frame, the end of the token. It keeps no
// presence: endpoints, queues and everything durable belong to the actors.
//
//	frame ─▶ codec.decode ─▶ stream.handle ─▶ front (scopes, source, targets) ─▶ actors.Link
//	                                                                              │
//	socket ◀─ one Flush ◀─ Queue ◀─ codec: batch from shared bytes ◀─ actors.Conn ◀┘
//
// Order: what an endpoint queues leaves in that order. A connection has one
// goroutine, its reader; timers run on the node's wheel. Nothing here is
// durable: the endpoint sends again what the client did not acknowledge.
package native
