// Package gateway is a whole node as clients see it: it puts the store, the
// actors and the surfaces together, listens, and takes them down in order.
//
// It owns the two listeners, the order of start and end, and the policies'
// administration. It never interprets a frame or a presence; its surfaces do.
//
//	public listener ─▶ limits ─▶ /v1 /trouter (native)  /v1.0 /beta (Graph)  / (page)
//	                                    └────────────┬───────────┘
//	admin listener ─▶ metrics, pprof, policy      front ─▶ actors ─▶ persistence
//
// Start answers ready only when all of it serves. Close ends in the order in
// which nothing is lost: no new connections, clients told to go elsewhere,
// actors drained, store closed.
package gateway
