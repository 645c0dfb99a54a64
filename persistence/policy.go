package persistence

import (
	"bytes"
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/encoding/protowire"

	"rollcall/messages"
	"rollcall/presence"
)

// CommitPolicy stores a tenant's policy unless a newer one is stored already;
// both answer nil. done is as with Commit.
func (s *Store) CommitPolicy(p presence.Policy, done func(error)) {
	if s.guard.low.Load() {
		done(ErrStorageLow)
		return
	}
	step, err := encodePolicy(p)
	if err != nil {
		done(err)
		return
	}
	s.writer.add(&write{step: step, size: len(step.value), done: done})
}

// policyWrite is a policy on its way to the writer.
type policyWrite struct {
	key, value []byte // sealed
	version    presence.Version
}

func encodePolicy(p presence.Policy) (*policyWrite, error) {
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
	key := policyKey(p.Tenant)
	return &policyWrite{key: key, value: seal(key, value), version: p.Version}, nil
}

func (p *policyWrite) apply(b *batch) error {
	older := false
	err := b.get(p.key, func(payload []byte) error {
		var stored presence.Version
		err := fields(payload, func(n protowire.Number, value []byte) error {
			if n == policyVersion {
				v, _ := protowire.ConsumeFixed64(value)
				stored = presence.Version(v)
			}
			return nil
		})
		// Of two that were given one version the same stays everywhere.
		older = p.version < stored || p.version == stored && bytes.Compare(p.value[sumSize:], payload) < 0
		return err
	})
	if err != nil || older {
		return err
	}
	b.size += len(p.key) + len(p.value)
	return b.txn.SetEntry(&badger.Entry{Key: p.key, Value: p.value})
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
