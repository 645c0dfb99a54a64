// Package limit says how often something may be done: Bucket bounds a rate,
// Window bounds the number of different things touched in a time.
//
// It owns the arithmetic only. It never reads a clock, takes a lock or knows
// whom a limit is for: the caller keeps a Bucket or Window where it keeps the
// limited thing (a socket, a user, a tenant), hands in the time, and maps a
// refusal to its own error. The numbers (Rate, Quota) are handed to each call,
// so that a changed policy holds at once and nothing is stored twice.
//
//	Bucket, Rate{Count: 2, Per: 1 s, Burst: 3}
//
//	    tokens 3 |x   . .--------      x: taken
//	           2 | x /            .: one comes back each half second
//	           1 |  x
//	           0 +--------------> time
//
//	Window, Quota{Max: 5000, Per: 1 h}: 32 steps to the hour
//
//	    |step|step|  ...  |step|now |    a target counts for the hour after its
//	     gone ^---- counted ------^      last use, and at most a step longer
//
// Both err on the strict side by small amounts that their types state, and a
// clock that jumps back or forth neither locks anybody out for the length of
// the jump nor opens more than one burst (Bucket) or one window (Window).
package limit
