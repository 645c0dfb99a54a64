package persistence

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Badger writes through memory maps: on a full disk the process dies of
// SIGBUS, so commits stop well before.
const (
	lowFree     = 512 << 20 // below: commits are refused
	lowPercent  = 5
	backPercent = 110       // of the limit: commits are taken again
	scarceFree  = 128 << 20 // below: the ballast is released
	guardPeriod = time.Second
)

func statfs(dir string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}

func lowLimit(total uint64) uint64 { return max(lowFree, total/100*lowPercent) }

// roomToCreate refuses a disk on which a new store could not take a commit.
func roomToCreate(cfg *Config) error {
	free, total, err := cfg.faults.statfs(cfg.Dir)
	if err != nil {
		return refuse(cfg.Dir, ErrAccess, remedyDir, "ask for free space: %v", err)
	}
	if need := lowLimit(total) + uint64(max(cfg.Ballast, 0)); free < need {
		return refuse(cfg.Dir, ErrNoSpace, "free some space, or "+remedyDir,
			"%d MiB are free, a new store needs %d MiB", free>>20, need>>20)
	}
	return nil
}

// guard watches the free space of the store's disk.
type guard struct {
	store   *Store
	low     atomic.Bool
	ballast string
	held    bool // the ballast lies on the disk; only the guard's goroutine looks
}

func newGuard(s *Store) (*guard, error) {
	g := &guard{store: s, ballast: filepath.Join(s.cfg.Dir, ballastFile)}
	_, err := os.Stat(g.ballast)
	g.held = err == nil
	g.check()
	free, _, err := s.cfg.faults.statfs(s.cfg.Dir)
	if err != nil {
		return nil, refuse(s.cfg.Dir, ErrAccess, remedyDir, "ask for free space: %v", err)
	}
	if free < scarceFree {
		return nil, refuse(s.cfg.Dir, ErrNoSpace, "free some space",
			"%d MiB are free, opening needs %d MiB", free>>20, scarceFree>>20)
	}
	return g, nil
}

func (g *guard) run() {
	period := guardPeriod
	if g.store.cfg.faults.every > 0 {
		period = g.store.cfg.faults.every
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.check()
		case <-g.store.stop:
			return
		}
	}
}

// check sets whether commits are taken and keeps or gives up the ballast. A
// disk that does not answer counts as full.
func (g *guard) check() {
	free, total, err := g.store.cfg.faults.statfs(g.store.cfg.Dir)
	if err != nil {
		g.set(true, "error", err)
		return
	}
	limit := lowLimit(total)
	switch {
	case free < limit:
		g.set(true, "free", free, "limit", limit)
	case free >= limit/100*backPercent:
		g.set(false, "free", free, "limit", limit)
	}
	want := uint64(max(g.store.cfg.Ballast, 0))
	switch {
	case free < scarceFree && g.held:
		g.release()
	case want > 0 && !g.held && free >= limit/100*backPercent+want:
		g.hold(int64(want))
	}
}

func (g *guard) set(low bool, about ...any) {
	if g.low.Swap(low) == low {
		return
	}
	if low {
		g.store.cfg.Log.Warn("disk space is low, commits are refused", about...)
		return
	}
	g.store.cfg.Log.Info("disk space is back, commits are taken", about...)
}

// hold puts the ballast on the disk, with real blocks behind it.
func (g *guard) hold(size int64) {
	err := allocate(g.ballast, size)
	if err != nil {
		err = errors.Join(err, os.Remove(g.ballast))
		g.store.cfg.Log.Warn("the ballast could not be made, trying again", "error", err)
		return
	}
	g.held = true
}

func (g *guard) release() {
	if err := os.Remove(g.ballast); err != nil {
		g.store.cfg.Log.Error("the ballast could not be released", "error", err)
		return
	}
	g.held = false
	g.store.cfg.Log.Warn("disk space is nearly gone, the ballast was released")
}

func allocate(name string, size int64) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		err = writeZeros(f, size)
	}
	if err != nil {
		err = fmt.Errorf("allocate %d bytes: %w", size, err)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

func writeZeros(f *os.File, size int64) error {
	zeros := make([]byte, 1<<20)
	for size > 0 {
		n, err := f.Write(zeros[:min(size, int64(len(zeros)))])
		if err != nil {
			return err
		}
		size -= int64(n)
	}
	return nil
}
