// Package actors holds the actors that do Rollcall's work and the typed client
// through which gateways speak to them.
//
// The user actor owns one user's record, aggregate, version and live list of
// watching endpoints; the endpoint actor owns what one connected client watches
// and has not acknowledged; the tenant actor owns a tenant's policy.
//
//	Publish -> user actor -> store (group commit) -> answer -> fan-out
//	                                                   | one Delivery, shared
//	Watch -> endpoint actor -> own user actor (durable list)
//	            ^  \-> each publisher's user actor: who may see what, snapshot
//	            |                                                  |
//	            +----------- Delivery (newest per publisher) <-----+
//	            v
//	         trouter.Queue -> batch -> Conn -> client -> ack
//
// Promises. A state is announced only after it is committed. A publisher's
// states reach an endpoint in the order of their versions; some may be skipped,
// the newest never is. Nothing in a turn waits: the store answers by message,
// sockets take bytes without blocking.
package actors
