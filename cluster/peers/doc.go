// Package peers is the way to the other nodes of the cluster: protoactor's
// remote with a door that lets in one message type only, a queue per peer that
// is bounded, and a window of unacknowledged envelopes.
//
//	Send, Return, Notify                                     Receive
//	   |                                                        ^
//	outbox: bounded queue, one state per publisher              | in order
//	   |  when there is something to send                       |
//	envelope (<= 1 MiB): header, messages, acknowledgement      | seq: once
//	   |  window: 64 envelopes, 4 MiB                           |
//	remote: one gRPC stream per peer and direction  ------->  guard -> ingress
//
// Promise: what is sent to a peer process arrives in the order it was given,
// at most once, and it arrives unless that process ends, is no longer a member,
// or gives no acknowledgement for 15 s; a connection that breaks loses nothing,
// since envelopes stay here until they are acknowledged. Requests and states
// (Notify) are two queues: there is no order between them. A peer that does not
// read costs its queue and its window, 12 MiB at most.
//
// Only members are listened to: an envelope must name this cluster, a protocol
// version that is known here, and a member with the incarnation it is known by.
// With credentials both ends show a certificate of the cluster's own authority
// that names the cluster.
package peers
