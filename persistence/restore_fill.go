package persistence

import (
	"bufio"
	"fmt"
	"io"

	"rollcall/persistence/merge"
	"rollcall/presence"
)

const (
	// fillBatch is how many copies are merged at a time, fillAhead how many
	// batches may be on their way.
	fillBatch = 64
	fillAhead = 8
)

func buffered(r io.Reader) io.Reader { return bufio.NewReaderSize(r, 256<<10) }

// fill merges every copy of every file into the store.
func (r *restore) fill(s *Store) error {
	f := &filling{store: s, slots: make(chan struct{}, fillAhead), failed: make(chan error, 1)}
	return f.end(r.again("storing", func(rec BackupRecord) error {
		c, ok, err := rec.User()
		switch {
		case err != nil:
			return err
		case ok:
			return f.add(c)
		}
		p, _, err := rec.Policy()
		if err != nil {
			return err
		}
		return f.policy(p)
	}))
}

// again shows the records of all files, which were read before.
func (r *restore) again(stage string, each func(BackupRecord) error) error {
	done := uint64(0)
	for _, name := range r.cfg.Files {
		err := r.read(name, nil, func(rec BackupRecord) error {
			if done++; done%progressEvery == 0 {
				r.progress(stage, done, r.total)
			}
			return each(rec)
		})
		if err != nil {
			return err
		}
	}
	r.progress(stage, done, r.total)
	return nil
}

// filling merges copies, some batches at a time.
type filling struct {
	store  *Store
	batch  []Commit
	slots  chan struct{}
	failed chan error // the first
}

func (f *filling) add(c Commit) error {
	f.batch = append(f.batch, c)
	if len(f.batch) < fillBatch {
		return nil
	}
	return f.flush()
}

func (f *filling) flush() error {
	batch := f.batch
	f.batch = nil
	return f.write(fmt.Sprintf("%d users from %s on", len(batch), batch[0].User), func(done func(error)) {
		f.store.Absorb(batch, nil, func(_ []bool, err error) { done(err) })
	})
}

func (f *filling) policy(p presence.Policy) error {
	return f.write("the policy of "+p.Tenant.String(), func(done func(error)) { f.store.CommitPolicy(p, done) })
}

// write waits for a slot; the first failure ends the filling.
func (f *filling) write(what string, begin func(done func(error))) error {
	select {
	case err := <-f.failed:
		return err
	case f.slots <- struct{}{}:
	}
	begin(func(err error) {
		if err != nil {
			select {
			case f.failed <- fmt.Errorf("restore %s: %w", what, err):
			default: // not the first
			}
		}
		<-f.slots
	})
	return nil
}

// end waits for the batches on their way.
func (f *filling) end(err error) error {
	if err == nil && len(f.batch) > 0 {
		err = f.flush()
	}
	for range fillAhead {
		f.slots <- struct{}{}
	}
	select {
	case failed := <-f.failed:
		if err == nil {
			err = failed
		}
	default:
	}
	return err
}

// compare reads the files once more: merged into what the store has they must
// bring nothing new.
func (r *restore) compare(s *Store) error {
	policies, err := s.Policies()
	if err != nil {
		return err
	}
	versions := map[presence.TenantID]presence.Version{}
	for _, p := range policies {
		versions[p.Tenant] = p.Version
	}
	return r.again("comparing", func(rec BackupRecord) error {
		c, ok, err := rec.User()
		switch {
		case err != nil:
			return err
		case ok:
			return s.contains(c)
		}
		p, _, err := rec.Policy()
		if err == nil && versions[p.Tenant] < p.Version {
			return lacks(p.Version, "the policy of "+p.Tenant.String())
		}
		return err
	})
}

func lacks(what any, of string) error {
	return fmt.Errorf("restore: the store lacks %v of %s, which the backup has: this is a bug, report it", what, of)
}

// contains says what is missing of a copy. What is long over is not kept.
func (s *Store) contains(c Commit) error {
	stored, _, err := s.Copy(c.User)
	if err != nil {
		return err
	}
	var have presence.Record
	for _, e := range stored.Elements {
		have.Merge(e)
	}
	now := s.cfg.Now()
	for _, e := range c.Elements {
		if !merge.Spent(e, now) && have.Merge(e) {
			return lacks(e.Key, c.User.String())
		}
	}
	if stored.Version < c.Version {
		return lacks("version "+c.Version.String(), c.User.String())
	}
	return nil
}
