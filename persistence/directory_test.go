package persistence

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/presence"
)

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestForeignDirectoryIsRefusedAndNothingIsMadeInIt(t *testing.T) {
	for name, tt := range map[string]struct {
		file string // made in the directory
		want error
	}{
		"a document":                  {"letter.txt", ErrForeign},
		"a folder":                    {"photos/holiday.jpg", ErrForeign},
		"a hidden file":               {".profile", ErrForeign},
		"a Badger store by another":   {"MANIFEST", ErrForeign},
		"our store without identity":  {"badger/MANIFEST", ErrIdentity},
		"our ballast without a store": {"ballast", ErrIdentity},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, tt.file), "not ours")
			wantRefused(t, dir, tt.want)
		})
	}
}

func TestWhatIsNoUsableDirectoryIsRefused(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "file")
	writeFile(t, plain, "content")
	for name, dir := range map[string]string{
		"a file":               plain,
		"below a file":         filepath.Join(plain, "data"),
		"no name":              "",
		"not to be made":       "/proc/rollcall",
		"not to be written to": "/proc",
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(Config{Dir: dir})
			if err == nil {
				closeStore(t, s)
			}
			var refused *RefusedError
			if !errors.As(err, &refused) {
				t.Fatalf("answered %v, want a RefusedError", err)
			}
		})
	}
}

func TestDirectoryInUseIsRefused(t *testing.T) {
	cfg := testConfig(t)
	s := openStore(t, cfg)
	if _, err := Open(cfg); !errors.Is(err, ErrLocked) {
		t.Errorf("a second Open answered %v, want ErrLocked", err)
	}
	if err := Reset(cfg.Dir); !errors.Is(err, ErrLocked) {
		t.Errorf("Reset answered %v, want ErrLocked", err)
	}
	announce(t, s, user(contoso, 1), 1, 1) // the first is not disturbed
}

func TestNewDirectoryIsPrivateAndMayHoldLostAndFound(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := openStore(t, Config{Dir: dir, Ballast: 1 << 20})
	closeStore(t, s)
	for name, want := range map[string]os.FileMode{".": 0o700, "badger": 0o700, "identity": 0o600, "ballast": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
	mount := t.TempDir()
	if err := os.Mkdir(filepath.Join(mount, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	closeStore(t, openStore(t, Config{Dir: mount, Ballast: -1}))
}

// A kill at any step of making a directory leaves one that opens.
func TestHalfMadeDirectoryOpens(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, dir string){
		"an identity not yet in place": func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, identityFile+halfWritten), "{")
		},
		"an identity only": func(t *testing.T, dir string) { makeIdentity(t, dir) },
		"an empty Badger folder": func(t *testing.T, dir string) {
			makeIdentity(t, dir)
			if err := os.Mkdir(filepath.Join(dir, badgerDir), 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"a store without the identity inside": func(t *testing.T, dir string) {
			s := openStore(t, Config{Dir: dir, Ballast: -1})
			closeStore(t, s)
			if err := os.RemoveAll(filepath.Join(dir, badgerDir)); err != nil {
				t.Fatal(err)
			}
			makeIdentity(t, dir)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			leave(t, cfg.Dir)
			s := openStore(t, cfg)
			node := s.Node()
			announce(t, s, user(contoso, 1), 1, 1)
			closeStore(t, s)
			if s = openStore(t, cfg); s.Node() != node || !load(t, s, user(contoso, 1)).Found {
				t.Error("the store is not the one that was made")
			}
		})
	}
}

func makeIdentity(t *testing.T, dir string) {
	t.Helper()
	id, err := newIdentity(noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeIdentity(dir, id); err != nil {
		t.Fatal(err)
	}
}

func TestResetMovesADamagedStoreAside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := openStore(t, Config{Dir: dir, Ballast: -1})
	node := s.Node()
	commit(t, s, commitOf(user(contoso, 1), 1, presence.Busy))
	closeStore(t, s)
	edit(t, filepath.Join(dir, identityFile), flip(0.5))
	wantRefused(t, dir, ErrIdentity)
	before := contents(t, dir)

	if err := Reset(dir); err != nil {
		t.Fatal(err)
	}
	aside, err := filepath.Glob(dir + ".broken-*")
	if err != nil || len(aside) != 1 {
		t.Fatalf("moved to %v, %v", aside, err)
	}
	if !same(before, contents(t, aside[0])) {
		t.Error("what was moved aside is not what was there")
	}
	s = openStore(t, Config{Dir: dir, Ballast: -1})
	if s.Node() == node || load(t, s, user(contoso, 1)).Found {
		t.Error("the new store is not new")
	}
}

func TestResetLeavesWhatIsNotAStore(t *testing.T) {
	dir := t.TempDir()
	if err := Reset(dir); err != nil {
		t.Errorf("an empty directory: %v", err)
	}
	if err := Reset(filepath.Join(dir, "missing")); err != nil {
		t.Errorf("a missing directory: %v", err)
	}
	writeFile(t, filepath.Join(dir, "letter.txt"), "dear")
	before := contents(t, dir)
	if err := Reset(dir); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "letter.txt") {
		t.Errorf("a foreign directory: %v, want ErrForeign", err)
	}
	if !same(before, contents(t, dir)) {
		t.Error("the foreign directory was changed")
	}
}
