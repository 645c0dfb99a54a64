// Package wheel keeps the pending timers of a node: leases, re-sends, fades,
// idle times. A timer is a small struct inside its owner, so that arming,
// moving and stopping one allocates nothing and costs some tens of nanoseconds,
// with a million pending.
//
// It owns the order of pending timers and the one goroutine that fires them.
// It never does the owners' work: a fire hands a message on and returns.
//
//	time --> slot = (time / tick) mod slots
//
//	  slots  0   1   2   3  ..  4095
//	         |       |            |
//	         T       T-T          T     timers of this and of later rounds
//	         ^
//	       hand: moves one slot a tick, fires what is due, leaves the rest
//
// Promise: an armed timer that is not stopped or armed anew fires exactly once,
// not before its time and, while Advance is called each tick (Start does), at
// most a tick after it. Timers of different ticks fire in order of time, those
// of one tick in any order. After Close nothing fires.
//
// Times are compared by their monotonic reading when they have one, so a jump of
// the wall clock does not move a timer armed from time.Now. A time without one,
// read from disk say, is placed by the wall clock of the latest tick.
package wheel
