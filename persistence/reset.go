package persistence

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Reset moves a store that Open refuses aside, to <dir>.broken-<time>, and
// leaves an empty directory, in which Open makes a new store with a new
// identity. It deletes nothing. A directory that holds no Rollcall store, or
// is in use, is refused and stays; a missing or empty one is left as it is.
func Reset(dir string) error {
	dir = filepath.Clean(dir)
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer func() { _ = unlockDir(lock) }() // nothing was written through it
	names, err := entries(dir)
	if err != nil || len(names) == 0 {
		return err
	}
	if !slices.Contains(names, identityFile) && !slices.Contains(names, badgerDir) {
		return refuse(dir, ErrForeign, remedyDir, "it holds %q", names[0])
	}
	aside := dir + ".broken-" + time.Now().UTC().Format("20060102T150405.000Z")
	err = os.Rename(dir, aside)
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EXDEV) {
		return refuse(dir, ErrAccess, "move its content away by hand", "it is a mount point: %v", err)
	}
	if err != nil {
		return fmt.Errorf("persistence: move %s aside: %w", dir, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("persistence: make %s anew: %w", dir, err)
	}
	return syncDir(filepath.Dir(dir))
}
