package actors

import (
	"errors"

	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
)

// Store is what actors need of the presence, subscriptions and permission
// stores. Every done is called exactly once, from any goroutine, and must not
// block. *persistence.Store is the real one; tests put a failing one before it.
type Store interface {
	Commit(c persistence.Commit, done func(error))
	Load(u presence.UserID, done func(persistence.Loaded, error))
	CommitWatch(u presence.UserID, e presence.Element, done func(error))
	LoadWatch(u presence.UserID, endpoint string, done func(presence.Element, bool, error))
	CommitPolicy(p presence.Policy, done func(error))
	Policies() ([]presence.Policy, error)

	// What a handover needs. These read in the caller's goroutine.
	Shards() ([]uint16, error)
	Users(shard uint16) ([]presence.UserID, error)
	Hold(u presence.UserID) (persistence.Held, error)
	Forget(h persistence.Held, done func(error))
}

// storeError gives a refusal of the store the code that clients see. Other
// errors pass.
func storeError(err error) error {
	for _, t := range []struct {
		store error
		wire  *messages.Error
	}{
		{persistence.ErrOverloaded, messages.ErrOverloaded},
		{persistence.ErrStorageLow, messages.ErrStorageLow},
		{persistence.ErrClosed, messages.ErrClosing},
		{persistence.ErrFailed, messages.ErrStorage},
		{persistence.ErrCorrupt, messages.ErrStorage},
		{persistence.ErrTooBig, messages.ErrBadRequest.With("more than one user's record can hold")},
	} {
		if errors.Is(err, t.store) {
			return t.wire
		}
	}
	return err
}
