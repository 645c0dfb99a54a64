package persistence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// RestoreConfig says what to restore and where.
type RestoreConfig struct {
	Dir     string   // empty or missing
	Files   []string // backups, whose copies of a user are merged
	Cluster string   // that they must be of; empty: any, but all of one
	Store   Config   // of the new store; Dir and NoSync are set here
	// Progress, which may be nil, is called often from one goroutine.
	Progress func(RestoreProgress)
}

// RestoreProgress is how far a restore is.
type RestoreProgress struct {
	Stage string // what is done now
	Done  uint64 // records of Total
	Total uint64
}

// RestoreReport is what a restore has made.
type RestoreReport struct {
	Node     uint64       `json:"node,string"` // the new identity
	Parts    []BackupHead `json:"parts"`       // what it was made from
	Users    int          `json:"users"`
	Policies int          `json:"policies"`
	Check    CheckReport  `json:"check"` // of the store; it may have ghosts and users from the future, as the backup had
}

// ErrNotEmpty: the directory holds something, which a restore does not touch.
var ErrNotEmpty = errors.New("the directory is not empty")

const (
	// restoreDir is where a store lies in the directory until it is whole.
	restoreDir = "restoring"
	// remedyRestore is for a directory that holds something.
	remedyRestore = "name an empty or new directory; to go on with what is there, start a node on it, and a backup restored beside it merges when both are members"
)

// Restore makes a store from backups: all copies of every user merged, under a
// new identity. It reads every file first, whole, and then again for the second
// time to see that all of it is in the store. It returns when the store is on
// the disk, verified; when it fails it leaves the directory as it was.
func Restore(ctx context.Context, c RestoreConfig) (report RestoreReport, err error) {
	r := &restore{cfg: c, ctx: ctx}
	_, err = os.Stat(c.Dir)
	made := errors.Is(err, fs.ErrNotExist)
	if err = r.examineFiles(); err != nil {
		return report, err
	}
	lock, err := lockDir(c.Dir)
	if err != nil {
		return report, err
	}
	defer func() {
		err = errors.Join(err, unlockDir(lock))
		if err != nil && made {
			_ = os.Remove(c.Dir) // if it is empty
		}
	}()
	if err := r.prepare(); err != nil {
		return report, err
	}
	if err = r.run(); err == nil {
		err = r.settle()
	}
	if err != nil {
		return report, errors.Join(err, os.RemoveAll(r.dir()))
	}
	return r.report, nil
}

type restore struct {
	cfg    RestoreConfig
	ctx    context.Context
	total  uint64 // records in all files
	report RestoreReport
}

func (r *restore) dir() string { return filepath.Join(r.cfg.Dir, restoreDir) }

func (r *restore) progress(stage string, done, total uint64) {
	if r.cfg.Progress != nil {
		r.cfg.Progress(RestoreProgress{stage, done, total})
	}
}

// prepare empties the directory of what a restore that was cut off has left, and
// refuses everything else.
func (r *restore) prepare() error {
	names, err := entries(r.cfg.Dir)
	if err != nil {
		return err
	}
	if len(names) == 1 && names[0] == restoreDir {
		return os.RemoveAll(r.dir())
	}
	if len(names) > 0 {
		return refuse(r.cfg.Dir, ErrNotEmpty, remedyRestore, "it holds %q", names[0])
	}
	return nil
}

// examineFiles reads every file to its end, so that a bad one is known before
// anything is made.
func (r *restore) examineFiles() error {
	if len(r.cfg.Files) == 0 {
		return errors.New("persistence: no backup is named")
	}
	cluster := r.cfg.Cluster
	for _, name := range r.cfg.Files {
		err := r.read(name, func(h BackupHead) error {
			if h.Cluster != "" && cluster != "" && h.Cluster != cluster {
				return fmt.Errorf("%w: it is of %q, not of %q", ErrBackupCluster, h.Cluster, cluster)
			}
			if cluster == "" {
				cluster = h.Cluster
			}
			r.report.Parts = append(r.report.Parts, h)
			return nil
		}, func(rec BackupRecord) error {
			r.total++
			if r.total%progressEvery == 0 {
				r.progress("reading", r.total, 0)
			}
			return r.ponder(rec)
		})
		if err != nil {
			return err
		}
	}
	r.progress("reading", r.total, r.total)
	return nil
}

// progressEvery is how many records pass between two reports.
const progressEvery = 1000

// ponder sees that a record could be stored.
func (r *restore) ponder(rec BackupRecord) error {
	_, ok, err := rec.User()
	if !ok && err == nil {
		_, _, err = rec.Policy()
	}
	return err
}

// read shows a file's parts and their records.
func (r *restore) read(name string, part func(BackupHead) error, each func(BackupRecord) error) (err error) {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer func() {
		_ = f.Close() // only read
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
	}()
	b := NewBackupReader(buffered(f))
	for {
		h, err := b.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && part != nil {
			err = part(h)
		}
		if err == nil {
			err = r.readPart(b, each)
		}
		if err != nil {
			return err
		}
	}
}

func (r *restore) readPart(b *BackupReader, each func(BackupRecord) error) error {
	for r.ctx.Err() == nil {
		rec, err := b.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = each(rec)
		}
		if err != nil {
			return err
		}
	}
	return r.ctx.Err()
}

// run makes the store.
func (r *restore) run() error {
	cfg := r.cfg.Store
	cfg.Dir, cfg.NoSync = r.dir(), true // all of it is synced at the end
	failed := make(chan error, 1)
	cfg.Fatal = func(err error) { failed <- err }
	s, err := Open(cfg)
	if err != nil {
		return err
	}
	r.report.Node = s.Node()
	if err = r.fill(s); err == nil {
		err = r.compare(s)
	}
	if err == nil {
		r.progress("checking digests", 0, 0)
		r.report.Check, err = s.Check(r.ctx, CheckConfig{})
	}
	if k := &r.report.Check; err == nil && k.Orphans+k.WrongDigests > 0 { // what else there is, the backup had
		err = k.err()
	}
	r.report.Users, r.report.Policies = r.report.Check.Users, r.report.Check.Policies
	if err = errors.Join(err, s.Close()); err == nil {
		r.progress("verifying files", 0, 0)
		_, err = verify(&s.cfg, false)
	}
	return err
}

// settle puts the store, which is whole, where it belongs. The identity comes
// last: without it the directory is no store.
func (r *restore) settle() error {
	if err := syncAll(r.dir()); err != nil {
		return err
	}
	names, err := entries(r.dir())
	if err != nil {
		return err
	}
	names = append(slices.DeleteFunc(names, func(n string) bool { return n == identityFile }), identityFile)
	for _, n := range names {
		if err := r.place(n); err != nil {
			for _, n := range names {
				err = errors.Join(err, os.RemoveAll(filepath.Join(r.cfg.Dir, n)))
			}
			return fmt.Errorf("restore: %w", err)
		}
	}
	return os.Remove(r.dir())
}

// place moves one file or directory, and what was moved before is on the disk.
func (r *restore) place(name string) error {
	if err := os.Rename(filepath.Join(r.dir(), name), filepath.Join(r.cfg.Dir, name)); err != nil {
		return err
	}
	return syncDir(r.cfg.Dir)
}

// syncAll forces everything below dir to the disk.
func syncAll(dir string) error {
	return filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
