// Package copies keeps every user's record on several nodes. It carries out
// the protocol of package replica: it turns commits into messages for the other
// holders of a shard, sends them in batches, stores what the others send, reads
// what they ask for, and keeps the time.
//
// It owns the protocol's state, the queues of what is to be sent, and its own
// goroutines. It owns neither the store nor the connections: it gets both.
//
//	 actors               *Copies                    other nodes
//	Commit ----> machine --+--> Disk.Commit
//	              ^    ^   +--> queue per member --> sender --> Deltas
//	              |    |                                          |
//	              |    +-- Wrote                                  v
//	              +------- DeltasStored <------------------- Disk.Absorb
//
// Promise: the callback of every Commit, Load and LoadWatch is called exactly
// once, also when the node closes. What a queue has no room for is left out and
// counted; the comparison of digests finds and brings it.
package copies
