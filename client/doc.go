// Package client is the Go SDK: it keeps one endpoint of one user connected to
// Rollcall, publishes what that user does and follows whom it watches.
//
// It owns the connection, the retries, the token's renewal, the list of watched
// users and the acknowledgements. The caller says what it wants once; a lost
// connection, a restarted node or an expired token are not its business, though
// State and Config.OnState tell.
//
//	Publish, Watch --> calls, oldest first --> writer --> WebSocket
//	                      ^  kept until answered             |
//	                      |                                  v
//	             answers -+---------------------------- reader
//	                                                         |
//	OnChange or Changes() <-- newest per user <-- Receiver <-+ batches
//	                                                 |
//	                                                 +--> cumulative ack
//
// Order. Changes of one user come with rising versions; some may be skipped when
// the caller is slow, the newest never is. There is no order between users.
// Requests reach the node in the order in which they were made, also over a
// reconnect.
//
// Memory is bounded by the number of watched users, however slow the caller is.
// Nothing is durable here: the node keeps the list and the presence. A request
// whose answer was lost is sent again; all of them say what is, so twice is
// once.
//
// Every goroutine belongs to a Client, and Close waits for all of them.
package client
