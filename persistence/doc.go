// Package persistence keeps what must survive the process: users' presence,
// the lists that endpoints watch, tenants' policies, users' blocks, and the
// feed of visible changes. One Store is one data directory, and one Badger.
//
//	Commit, Absorb, Drop,        Load, LoadWatch, Endpoints      Changes, FeedWait,
//	CommitPolicy                        |                        Copy, Differing
//	    | checked by the caller         | bounded queue                |
//	    v                               v                              v
//	 bounded queue -> writer         readers (2, many loads       in the caller
//	    one goroutine: reads the      in one read transaction)         |
//	    stored value, merges,              |                           |
//	    one txn, one fsync per batch       |                           |
//	                       |               |                           |
//	                       +---------------+-- Badger -----------------+
//	                       |
//	                  digests, then feed waiters, then done(err)
//
// # What it promises
//
// The store merges (package merge): whatever is committed or absorbed, in any
// order and any number of times, never replaces something newer. So two nodes
// may both take commits of one user, and copies may come late or twice.
//
// A done called with nil means that the whole commit (elements, state and feed
// entry together) is on the disk and is found after a crash of the process or
// the machine; with NoSync only after a crash of the process. A change stands
// in its tenant's feed, after faults perhaps twice, and names its predecessor: a reader
// either proves that it missed nothing or is told ErrResync.
//
// Root is the digest of a shard, kept up with every transaction: two stores
// with equal roots hold the same elements and versions of it, and the same of
// its feed. After opening, the writer reads each shard once, a millisecond at a
// time between its batches, before its digest is known. Have, Differing and
// Absorb bring to one store what another one has and it has not.
//
// What is long over is swept: lists an hour after their end and a week after
// they were cleared, sessions and calls a day after their end.
//
// Every value carries a checksum over its key and content which is verified
// at each read. A storage error or a failed checksum ends the process through
// Config.Fatal: after a failed write the state of the disk is not known.
//
// Open refuses a directory that is foreign, damaged, of another format, in
// use, or not the one that its identity names, before anything in it is
// changed. The error says what is wrong and what to do.
//
// # What it never does
//
// It decides no rule of presence, reads no client input, never blocks a
// caller on the disk (but for what says that it reads in the caller's
// goroutine), and never deletes a damaged directory: Reset moves it aside.
//
// # The data directory
//
//	identity   who this directory is: format, node id, whether it is complete
//	badger/    the store; it holds the same identity inside
//	ballast    space held back; given up when the disk is nearly full
//
// The disk guard looks at the free space each second. Below 512 MiB or 5 %
// commits are refused with ErrStorageLow until there is room again; below 128
// MiB the ballast is released as well, so that what runs can finish. A new
// directory needs room for the ballast beside those limits, and Open says how
// much is missing. An existing one opens while at least 128 MiB can be had,
// and is read-only until there is room.
//
// # Backups
//
// Backup writes what one read transaction shows, in a format of its own
// (backup_format.go) in which every record and every part has a checksum.
// Restore makes a store from such files: it merges, verifies, and puts the
// directory in place only when it is whole. Check reads everything, and computes
// the digests anew. None of them holds commits up.
package persistence
