// Package gossip knows which nodes of the cluster are alive. It owns the gossip
// port (hashicorp/memberlist over UDP and TCP), the key file, and the search for
// the seeds. It decides nothing about shards and carries no data: whoever holds
// a gossip key can make members appear and disappear, and nothing more.
//
//	UDP, TCP -> door -> memberlist -> admit -> roster -> Changed (one goroutine)
//	            bounds  key, label    meta     by id     every 100 ms at most
//
// Promise: Changed gets the whole list of live members, sorted by id, this one
// among them, whenever it differs from the list before; never two calls at once.
// With seeds the first call waits until one of them was reached or another
// member reached this one, so that a node that is to join never takes itself for
// the whole cluster. A member that leaves stays in the list, marked as leaving,
// until it has left.
//
// A member is its process: another process of the same store has the same id and
// a higher incarnation, and the list names the highest one that is alive. A
// process that sees a higher one than its own says so in its log and in Ready.
// A member that was taken for dead by mistake, or that was cut off, comes back
// under the incarnation it had: memberlist refutes what is false as soon as the
// two meet, and whoever misses a member that did not take its leave seeks it,
// and the seeds, every 10 s for a day.
//
// What comes in is refused and counted unless it is encrypted with a key of the
// file, carries the cluster's name, and describes a member within the bounds of
// meta.go; it is logged once per source and minute.
//
// Close ends the goroutines of this package and the ports; memberlist's own last
// timers end within four seconds after it and touch nothing.
package gossip
