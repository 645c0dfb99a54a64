package persistence

import (
	"context"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/persistence/merge"
	"rollcall/presence"
)

const (
	// digestPoll is how long a check waits for a digest that is not known yet, or
	// for commits under way.
	digestPoll = 5 * time.Millisecond
	// digestTries is how often a shard's content has to differ from its digest:
	// a commit can come between the two.
	digestTries = 5
)

// checkDigests computes the digest of every shard that holds something from the
// content and holds it against the one that is kept up. One that is not known
// yet is waited for: the writer reads each shard once after the store was opened.
func (s *Store) checkDigests(ctx context.Context, k *check) error {
	var left []uint16
	for shard := range uint16(presence.Shards) {
		if root, known := s.Root(shard); k.has[shard] || known && root != 0 {
			left = append(left, shard)
		}
	}
	for len(left) > 0 {
		before := len(left)
		var err error
		left = slices.DeleteFunc(left, func(shard uint16) bool {
			if _, known := s.Root(shard); !known || err != nil {
				return false
			}
			err = s.checkDigest(ctx, shard, &k.report)
			return true
		})
		if err == nil {
			err = s.failure()
		}
		if err == nil && len(left) == before {
			err = pause(ctx, digestPoll)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkDigest checks a digest that is known.
func (s *Store) checkDigest(ctx context.Context, shard uint16, r *CheckReport) error {
	for range digestTries {
		root, _ := s.Root(shard)
		var sum uint64
		err := s.view(func(txn *badger.Txn) (err error) {
			sum, err = digest(ctx, txn, shard)
			return err
		})
		if err != nil {
			return err
		}
		if sum != 0 { // what is of no user counts for nothing
			for _, e := range s.FeedEnds(shard) {
				sum += merge.Feed(e.Origin, e.Seq)
			}
		}
		if sum == root {
			return nil
		}
		if err := pause(ctx, digestPoll); err != nil {
			return err
		}
	}
	r.WrongDigests++
	if len(r.WrongShards) < maxFindings {
		r.WrongShards = append(r.WrongShards, shard)
	}
	return nil
}

// digest is the sum of the terms of all users of a shard.
func digest(ctx context.Context, txn *badger.Txn, shard uint16) (sum uint64, err error) {
	err = walkShard(ctx, txn, shard, func(w *walked) error {
		hash := w.user.Hash()
		sum += merge.Version(hash, w.stored.Version)
		c := w.copy()
		for i := range c.Elements {
			sum += merge.Term(hash, c.Elements[i].Key, c.Elements[i].Stamp)
		}
		return nil
	})
	return sum, err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
