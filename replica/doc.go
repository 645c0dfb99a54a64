// Package replica is the protocol that keeps every user's record on several
// nodes: commit, gather, repair, handing over and dropping of shards. It is a
// pure state machine: messages, ends of writes and the time go in; messages,
// writes and answers come out. It reads no clock, does no I/O and starts no
// goroutine, so a simulator can play any fault against it.
package replica
