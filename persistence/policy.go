package persistence

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"rollcall/messages"
	"rollcall/presence"
)

// CommitPolicy stores a tenant's policy in place of the one before. done is as
// with Commit.
func (s *Store) CommitPolicy(p presence.Policy, done func(error)) {
	if s.guard.low.Load() {
		done(ErrStorageLow)
		return
	}
	op, err := encodePolicy(p)
	if err != nil {
		done(err)
		return
	}
	op.done = done
	s.writer.add(op)
}

func encodePolicy(p presence.Policy) (*write, error) {
	m, err := messages.FromPolicy(p)
	if err != nil {
		return nil, err
	}
	payload, err := m.MarshalVT()
	if err != nil {
		return nil, fmt.Errorf("persistence: encode the policy of %s: %w", p.Tenant, err)
	}
	value, err := box(payload)
	if err != nil {
		return nil, err
	}
	op := &write{}
	op.put(policyKey(p.Tenant), value, 0)
	return op, nil
}

// Policies reads every stored policy, in the caller's goroutine.
func (s *Store) Policies() ([]presence.Policy, error) {
	var all []presence.Policy
	err := s.view(func(txn *badger.Txn) error {
		return scan(txn, []byte{byte(kindPolicy)}, func(_, payload []byte) error {
			var m messages.Policy
			if err := m.UnmarshalVT(payload); err != nil {
				return fmt.Errorf("%w: policy: %w", ErrCorrupt, err)
			}
			p, err := messages.ToPolicy(&m)
			if err != nil {
				return fmt.Errorf("%w: policy: %w", ErrCorrupt, err)
			}
			all = append(all, p)
			return nil
		})
	})
	return all, err
}
