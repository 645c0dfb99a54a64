// Package wsconn carries WebSocket connections and server-sent event streams
// for the gateway, many thousands of them, each cheap while it has nothing to
// say.
//
// It owns the socket after the HTTP handshake: framing, the limits on what a
// peer may send, the close handshake, and one outbox per connection. It knows
// nothing of presence, tokens or subprotocol messages, keeps no list of
// connections, and starts no timer: pings and idle limits belong to whoever
// holds the connections.
//
//	             Serve: the one goroutine of an idle connection
//	peer ──────▶ parked, no buffer ─▶ decoder ─▶ onMessage(op, payload)
//	                                     │ pong, close echo
//	                                     ▼
//	any goroutine ── Queue ───────▶ outbox (pooled, none while empty)
//	             └── Flush ─▶ one non-blocking write ──────────▶ peer
//	                            └ peer slow: drain goroutine,
//	                              gone when the outbox is empty
//
// Order: what is queued first is written first, also across goroutines; the
// close frame is the last. Nothing is durable: what the peer did not read when
// the connection ends is lost, and the layer above must be able to send it
// again. Queue, Flush, Send, Ping and Close never wait for the peer.
//
// Memory: on Linux a plain connection waits for its peer without a read
// buffer, in a goroutine that keeps its first 2 KiB of stack because callbacks
// run on a few goroutines shared by all connections of a Config. Where the descriptor cannot be polled (TLS, other systems) reads
// block with a small buffer and every flush goes through the drain goroutine.
package wsconn
