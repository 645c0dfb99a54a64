// Package merge holds the rules by which copies of a user become one, and the
// terms of the digests that tell whether two copies are alike. It is pure: the
// store on the disk and the one in memory share it.
//
// Copies may meet in any order and any number of times: per element the newer
// stamp stays, and the state of the greater version. An element that is long
// over is dropped, and not taken where it is not known, so that two nodes that
// sweep at different times do not hand it to each other for ever.
//
// A digest is a sum (mod 2^64) of one term per element, one per user for the
// version of its state, and one per origin of the feed. Sums can be kept up
// while users change in any order. Terms know keys and stamps, no values:
// what a lease renewed without a new stamp does not make two copies differ.
package merge
