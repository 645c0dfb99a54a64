package persistence

import (
	"errors"
	"fmt"
)

// What a commit or a read can be answered with.
var (
	// ErrOverloaded: the queue is full; nothing was stored, try again later.
	ErrOverloaded = errors.New("persistence: too many operations are waiting, try again later")
	// ErrStorageLow: the disk is nearly full; nothing was stored. Reads go on.
	ErrStorageLow = errors.New("persistence: free disk space is low, commits are refused until there is room")
	// ErrClosed: the store is closed or closing.
	ErrClosed = errors.New("persistence: the store is closed")
	// ErrFailed: an earlier storage error ended this store. Whether a commit
	// answered with it is on the disk is not known.
	ErrFailed = errors.New("persistence: the store has failed")
	// ErrTooBig: one value is larger than maxValue; nothing was stored.
	ErrTooBig = errors.New("persistence: the value is too big")
	// ErrCorrupt: a stored value does not match its checksum or its form.
	ErrCorrupt = errors.New("persistence: stored data is corrupt")
	// ErrUnread: the digest of a shard is not known yet; ask again in a second.
	ErrUnread = errors.New("persistence: the shard is still being read, ask again soon")
	// ErrResync: changes after the token may be missing from the feed; read
	// the present state and go on from FeedEnd.
	ErrResync = errors.New("persistence: the feed no longer reaches back to the token, read the state anew")
	// ErrToken: not a token of this feed.
	ErrToken = errors.New("persistence: not a valid feed token")
)

// Why a data directory was not opened; a RefusedError wraps one of them.
var (
	ErrForeign  = errors.New("the directory holds files that are not a Rollcall store")
	ErrIdentity = errors.New("the identity of the directory is missing or damaged")
	ErrMismatch = errors.New("the identity file and the store inside belong to different nodes")
	ErrFormat   = errors.New("the store has a format that this version does not know")
	ErrLocked   = errors.New("another process uses the directory")
	ErrAccess   = errors.New("the directory cannot be used")
	ErrDamaged  = errors.New("the store is damaged")
	ErrNoSpace  = errors.New("there is too little free space on the disk")
)

// RefusedError says why a data directory was refused and what to do. Nothing
// in the directory was changed.
type RefusedError struct {
	Dir    string
	Err    error // one of the reasons above
	Detail string
	Remedy string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("data directory %s: %v: %s; %s", e.Dir, e.Err, e.Detail, e.Remedy)
}

func (e *RefusedError) Unwrap() error { return e.Err }

const (
	remedyReset  = "start once with --reset-data to move it aside and begin empty, or restore it from a copy"
	remedyFormat = "use the version of Rollcall that wrote it"
	remedyDir    = "name another directory with --data"
)

func refuse(dir string, reason error, remedy, format string, args ...any) error {
	return &RefusedError{Dir: dir, Err: reason, Detail: fmt.Sprintf(format, args...), Remedy: remedy}
}
