// Package presence holds the rules: what a user's presence is, how copies of
// it are joined, how it is reduced to one answer, and who may see that answer.
//
// It owns the values, the per-user [Record], the hybrid logical clock that
// orders changes, the [Aggregate] function, the input rules and the permission
// decision. It never does I/O, reads no clock, starts no goroutine and takes no
// lock: time comes in as an argument, and one caller at a time works on a
// record.
//
// Order and durability: a record is a join semilattice. Copies that were
// merged in any order, any number of times, are equal, and equal records give
// equal answers at equal times. Nothing here is durable; [Record.Apply] says
// which elements its caller has to commit before it announces anything.
//
//	mutations --Apply--> Record --Aggregate(now)--> State, next change
//	                       ^  |                       |
//	 copy of another node -+  +-> elements to commit  +-Seen(Decide(viewer))--> viewer
package presence
