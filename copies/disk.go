package copies

import (
	"rollcall/persistence"
	"rollcall/presence"
)

// Disk is the store under the copies: *persistence.Store, or one in memory.
// What its methods promise is said there.
type Disk interface {
	Commit(c persistence.Commit, done func(error)) // numbers c.Feed before it returns, unless it refuses
	Absorb(cs []persistence.Commit, feed []persistence.FeedEntry, done func(changed []bool, err error))
	Load(u presence.UserID, done func(persistence.Loaded, error))
	LoadWatch(u presence.UserID, endpoint string, done func(presence.Element, bool, error))
	Copy(u presence.UserID) (persistence.Commit, bool, error)
	Root(shard uint16) (root uint64, known bool)
	Have(shard uint16) ([]byte, error)
	Differing(shard uint16, have []byte, after presence.UserID, ends []persistence.FeedEnd, maxBytes int) (persistence.Part, error)
	Drop(shard uint16, root uint64, done func(dropped bool, err error))
	FeedEnds(shard uint16) []persistence.FeedEnd
	FeedMark() uint64
	FeedComplete(origin, mark uint64)
	CommitPolicy(p presence.Policy, done func(error))
	Policies() ([]presence.Policy, error)
	Writable() bool
}
