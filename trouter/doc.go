// Package trouter decides what an endpoint is sent, when it is sent again and
// when it is lost. It is the delivery half of presence without sockets.
//
// It owns the address of an endpoint (Address), the list of what the endpoint
// has not acknowledged (Queue), the waiting times between sends (Backoff) and
// the receiving side of the same rules (Receiver).
//
// It never reads a clock, starts a goroutine, takes a lock or does I/O: the
// caller hands in the time and carries out what is returned. One Queue or
// Receiver belongs to one goroutine (an actor) at a time.
//
//	Put ---> pending: newest item per publisher, order of first arrival
//	            |
//	          Next (while fewer than Window batches are out)
//	            v
//	         in flight: batch 7, 8, 9 ---> socket ---> Receiver
//	            |    ^                                    |
//	            |    +-- Due after 1, 2, 4 .. 30 s        |
//	            |    +-- Replay on a new socket           |
//	            v                                         |
//	         Ack(8) drops 7 and 8 <-----------------------+
//
// Ordering: versions of one publisher are handed out rising, provided they are
// put rising; there is no order between publishers. A batch, once made, keeps
// its number and its content until it is acknowledged.
//
// Delivery: every item put is delivered at least once, or replaced by a newer
// one of its publisher, or the queue says NeedsResync and the owner sends
// the present state again. Items are state, not history: a version between two
// delivered ones may be skipped. Nothing here is durable.
//
// Times should carry a monotonic reading (as those of time.Now do); then a
// jump of the wall clock neither delays a re-send nor ends an endpoint.
package trouter
