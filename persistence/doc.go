// Package persistence keeps what must survive the process: users' presence,
// the lists that endpoints watch, tenants' policies, users' blocks, and the
// feed of visible changes. One Store is one data directory, and one Badger.
//
//	Commit, CommitWatch,         Load, LoadWatch, Endpoints      Changes, FeedWait
//	CommitPolicy                        |                              |
//	    | encoded by the caller         | bounded queue                | in the caller
//	    v                               v                              v
//	 bounded queue -> writer         readers (2, many loads       one read of the
//	                  one goroutine   in one read transaction)     tenant's range
//	                  one txn, one fsync per batch
//	                       |            |                              |
//	                       +------------+--- Badger ------------------+
//	                       |
//	                  done(err), then feed waiters wake
//
// # What it promises
//
// A done called with nil means that the whole commit (state, blocks and feed
// entry together) is on the disk and is found after a crash of the process or
// the machine; with NoSync only after a crash of the process. Commits take
// effect in the order in which they were queued. A change stands in its
// tenant's feed exactly once, in commit order, and names its predecessor, so
// a reader either proves that it missed nothing or is told ErrResync.
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
// caller on the disk (Policies, Wakeups and Changes excepted, which read in
// the caller's goroutine), and never deletes a damaged directory: Reset moves
// it aside.
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
package persistence
