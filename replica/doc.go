// Package replica is the protocol that keeps every user's record on several
// nodes: commit, gather, repair, handing over and dropping of shards. It is a
// pure state machine: messages, ends of writes and the time go in; messages,
// writes and answers come out. It reads no clock, does no I/O and starts no
// goroutine, so a simulator can play any fault against it.
//
// The Machine owns what is under way and what is proven; the runtime owns
// store, network and timers. It promises no order of outputs. It relies on a
// store that merges (what comes late or twice does no harm) and that answers
// Write and Absorb when the data is on the disk.
//
// # What is proven
//
// A member covers another one, of a shard, when it has on its disk all that the
// other had at some time of its present stay in the present view. It knows so
// from the other's answer to Roots (nothing differs), or from the pages of a
// Pull, up to the digest of the first one. An answer counts if it repeats the
// number of a question that was asked in this view, and names the same table.
// Every new view begins with nothing covered: it costs a message to each member
// and back, and no rule is needed for which change spoils which proof.
//
// So an acknowledged commit is found. Its k copies are on members of the set;
// whoever takes over later is in a later view, in which it has either asked the
// holder since that came into the view too, or asks it now for the user. That
// fails only when all k are gone. The exceptions to "covered is enough":
//
//   - Views can come back (A, B, A). A member that stayed in A would take one
//     that was in B meanwhile for one that never left, and miss what was
//     committed in B. So Roots and Differs carry the number of the sender's stay.
//   - Whoever does not own a shard asks the whole set: the owner's commits of the
//     present view may have missed it. Only the owner is ever Settled.
//   - The disk here may refuse a commit that others take. With each of their
//     acknowledgements what is covered towards them ends.
//   - Two may commit at once, while views differ or one stands in for another.
//     Who takes a delta from a member that it does not think the owner tells the
//     others of the set: Behind. Whoever commits tells those that have not
//     acknowledged.
//     Behind is repeated until the other compares, and an answer that crossed it
//     does not count.
//   - A handover, or a stop of this process: the runtime calls Unsettle.
//
// A shard is dropped by a member outside its set that has asked the whole set,
// in one round of a second, whether it has everything up to the digest that the
// shard has now, and the store compares that digest once more. An answer is
// about the moment: one that was kept could outlast the data, as its sender may
// have dropped it in another view. Nobody drops within five seconds of a new
// view, so whoever has just said yes still has it when the other drops; nor
// within ten of a Pull, so that nobody reads on in a shard that is gone. What is
// being dropped counts for no answer.
//
// # Bounds
//
// Commits, gathers and writes under way are limited. A commit ends within two
// seconds, a gather within half a second. Per other member there is one round
// at a time, and per node there are four pulls; what fails is tried again at
// intervals that double up to five seconds (thirty for a drop). At rest there is
// one Roots and one Differs from each member to each per minute, and no state but
// bitmaps: 4 KB per member, and 32 KB more for one that has had something outside
// its sets.
package replica
