// Package cluster hosts virtual actors on protoactor-go and finds them.
//
// It owns the shard table (which member owns which of the 4,096 shards), the
// directory of this node's activations, the mailbox and run queues every actor
// here runs on, the ingress that receives other nodes' envelopes, and the
// table of calls that wait for an answer. It knows nothing of presence rules
// and stores nothing.
//
//	Tell/Ask(address, message)
//	   |  shard = hash(address); table.Owner(shard)
//	   +-- this node --> directory --> mailbox --> run queue --> actor turn
//	   +-- another  --> Envelope --> its ingress --> ownership check --> directory
//
// Promises. A message accepted by a mailbox is handled by exactly one
// activation, also while the actor is being passivated: closing and posting
// exclude each other under the lock of the address's directory slot. Messages
// of one sender to one address are handled in the order sent as long as the
// owner does not change. An actor's turn is never run by two goroutines at
// once. A panic ends the activation that had it and costs the message that
// caused it; what others sent goes to the next activation, in order. Only an
// actor that panics while it starts loses what waits for it. Nothing here waits
// for a slow peer or a full mailbox: Tell and Ask answer ErrOverloaded instead.
package cluster
