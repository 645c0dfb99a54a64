// Package socket is a WebSocket client that costs little: one goroutine, one read
// buffer and no timers for each connection, so that tens of thousands fit into a
// process beside the node that they load.
//
// It owns the handshake, the framing and what of the native protocol is read a
// million times: batches. It never retries, never acknowledges and knows no user.
//
//	Dial --> Conn.Read --> Decode --> Batch: each item, without an allocation
//	         Conn.Send <-- AckFrame, or an encoded messages.ClientFrame
//
// Reads belong to one goroutine; Send and Close may be called from any. What
// Read returns is valid until the next Read.
//
// The bytes come from the node under test, and are bounded and checked all the
// same: a frame is at most 1 MiB, and what is no frame ends the connection.
package socket
