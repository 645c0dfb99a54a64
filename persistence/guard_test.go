package persistence

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/presence"
)

// disk stands in for the file system's answer about its space.
type disk struct{ free, total, fails atomic.Uint64 }

func (d *disk) statfs(string) (free, total uint64, err error) {
	if d.fails.Load() > 0 {
		return 0, 0, errDisk
	}
	return d.free.Load(), d.total.Load(), nil
}

func guarded(t *testing.T, free, total uint64) (Config, *disk) {
	t.Helper()
	d := &disk{}
	d.free.Store(free)
	d.total.Store(total)
	cfg := testConfig(t)
	cfg.Ballast = 1 << 20
	cfg.faults.statfs = d.statfs
	cfg.faults.every = time.Millisecond
	return cfg, d
}

func there(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func TestLowDiskRefusesCommitsUntilThereIsRoomAgain(t *testing.T) {
	const mib = 1 << 20
	for name, tt := range map[string]struct{ total, above, below, back uint64 }{
		"512 MiB of a small disk": {4096 * mib, 513 * mib, 511 * mib, 570 * mib},
		"5 % of a large disk":     {100_000 * mib, 5001 * mib, 4999 * mib, 5501 * mib},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, d := guarded(t, tt.total, tt.total)
			s := openStore(t, cfg)
			alice := user(contoso, 1)
			d.free.Store(tt.above)
			announce(t, s, alice, 1, 1)

			d.free.Store(tt.below)
			eventually(t, "commits are refused", func() bool { return !s.Writable() })
			for what, op := range map[string]func(done func(error)){
				"commit": func(done func(error)) { s.Commit(commitOf(alice, 2, presence.Away), done) },
				"absorb": func(done func(error)) {
					s.Absorb([]Commit{commitOf(alice, 2, presence.Away)}, nil, func(_ []bool, err error) { done(err) })
				},
				"policy": func(done func(error)) { s.CommitPolicy(presence.DefaultPolicy(contoso), done) },
			} {
				if err := await(t, op); !errors.Is(err, ErrStorageLow) {
					t.Errorf("%s answered %v, want ErrStorageLow", what, err)
				}
			}
			if got := load(t, s, alice); got.Version != 1 {
				t.Errorf("reads go on, but gave version %d", got.Version)
			}
			d.free.Store(tt.above) // not enough to come back
			s.guard.check()
			if s.Writable() {
				t.Error("commits are taken right at the limit: they would flap")
			}
			d.free.Store(tt.back)
			eventually(t, "commits are taken again", s.Writable)
			announce(t, s, alice, 3, 3)
		})
	}
}

func TestBallastIsGivenUpWhenTheDiskIsNearlyFull(t *testing.T) {
	const mib, total = 1 << 20, 4096 << 20
	cfg, d := guarded(t, total, total)
	s := openStore(t, cfg)
	ballast := filepath.Join(cfg.Dir, ballastFile)
	info, err := os.Stat(ballast)
	if err != nil || info.Size() != cfg.Ballast {
		t.Fatalf("no ballast after open: %v", err)
	}
	d.free.Store(300 * mib)
	eventually(t, "commits are refused", func() bool { return !s.Writable() })
	if !there(ballast) {
		t.Error("the ballast went before it was needed")
	}
	d.free.Store(100 * mib)
	eventually(t, "the ballast is gone", func() bool { return !there(ballast) })
	d.free.Store(total)
	eventually(t, "the ballast is back", func() bool { return there(ballast) })
}

func TestDiskThatDoesNotAnswerCountsAsFull(t *testing.T) {
	cfg, d := guarded(t, 1<<40, 1<<40)
	s := openStore(t, cfg)
	d.fails.Store(1)
	eventually(t, "commits are refused", func() bool { return !s.Writable() })
	d.fails.Store(0)
	eventually(t, "commits are taken again", s.Writable)
}

func TestTooLittleRoomToStart(t *testing.T) {
	const mib, total = 1 << 20, 4096 << 20
	cfg, d := guarded(t, 512*mib, total)
	if _, err := Open(cfg); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("a new store without room for the ballast: %v, want ErrNoSpace", err)
	}
	if names, err := os.ReadDir(cfg.Dir); err != nil || len(names) > 0 {
		t.Errorf("the refused directory holds %v, %v", names, err)
	}
	d.free.Store(total)
	s := openStore(t, cfg)
	announce(t, s, user(contoso, 1), 1, 1)
	closeStore(t, s)

	d.free.Store(200 * mib) // what is there can be read
	s = openStore(t, cfg)
	if s.Writable() || !load(t, s, user(contoso, 1)).Found {
		t.Error("a store on a low disk is not read-only")
	}
	closeStore(t, s)

	d.free.Store(50 * mib)
	if _, err := Open(cfg); !errors.Is(err, ErrNoSpace) {
		t.Errorf("with 50 MiB: %v, want ErrNoSpace", err)
	}
}

// On a real small file system: it is filled by somebody else while the store
// writes. The process must live, and take commits again afterwards.
func TestFullFileSystemDoesNotKillTheProcess(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	mount := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=900m", "rollcall-test", mount).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a tmpfs here: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mount).CombinedOutput(); err != nil {
			t.Errorf("umount: %s", out)
		}
	})
	cfg := testConfig(t)
	cfg.Dir = filepath.Join(mount, "data")
	cfg.Ballast = 64 << 20
	cfg.faults.every = 5 * time.Millisecond
	s := openStore(t, cfg)
	defer closeStore(t, s) // before the umount
	filler := filepath.Join(mount, "filler")
	if err := allocate(filler, 330<<20); err != nil {
		t.Fatal(err)
	}
	refused := func() bool {
		err := await(t, func(done func(error)) { s.Commit(commitOf(user(contoso, 1), 1, presence.Busy), done) })
		if err != nil && !errors.Is(err, ErrStorageLow) {
			t.Fatalf("commit: %v", err)
		}
		return err != nil
	}
	eventually(t, "commits are refused", refused)
	if err := allocate(filepath.Join(mount, "more"), 400<<20); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the ballast is released", func() bool { return !there(filepath.Join(cfg.Dir, ballastFile)) })
	for _, name := range []string{"filler", "more"} {
		if err := os.Remove(filepath.Join(mount, name)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "commits are taken again", func() bool { return !refused() })
}
