// Package bench measures the program itself: it builds cmd/node, starts it as a
// process of its own with a real store on the disk, and loads it over real
// loopback sockets from thousands of WebSocket connections that acknowledge as
// the protocol asks.
//
//	issuer of tokens <── node (child process) ── data directory, fsync on
//	      │               ▲        │
//	      └─▶ one epoll loop: publish, read, acknowledge, time
//	                      │        ▼
//	                     floor (child process): the same sockets and frames,
//	                     written by raw system calls and nothing else
//
// It owns the load, the clocks and the figures of docs/benchmarks.md. It never
// imports what it measures except to fill a data directory beforehand, and never
// lifts a limit that an operator could not: the tenant's quotas come from its
// stored policy, the rest are flags of the node.
//
// Promises: a publish counts as delivered when every watcher has received it and
// the server has seen the acknowledgement; in the open loop a latency begins at
// the moment the publish was due, not when it was sent; the CPU time of server
// and load are counted apart.
//
// Sizes are small unless the environment says otherwise, so that every benchmark
// can run once in a check; settings_test.go lists the variables.
package bench
