package actors

import (
	"errors"

	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
)

// Store is what actors need of the presence, subscriptions and permission
// stores. Every done is called exactly once, from any goroutine, and must not
// block. *copies.Copies is the real one; tests put a failing one before it.
type Store interface {
	// Commit stores what has changed of a user on as many nodes as it must be on,
	// and says on how many it was then. announced: the state is a visible change,
	// which enters the change feed.
	Commit(c persistence.Commit, announced bool, done func(copies int, err error))
	// Load reads a user, and asks other nodes first where they may know more.
	Load(u presence.UserID, done func(persistence.Loaded, error))
	LoadWatch(u presence.UserID, endpoint string, done func(presence.Element, bool, error))
	CommitPolicy(p presence.Policy, done func(error))
	Policies() ([]presence.Policy, error)
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
