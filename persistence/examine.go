package persistence

import (
	"errors"
	"os"
	"path/filepath"
)

// examine decides whether a locked directory may be opened, and gives its
// identity. It only reads, except that an empty directory gets the identity of
// a store that is being made.
func examine(cfg *Config) (identity, error) {
	names, err := entries(cfg.Dir)
	if err != nil {
		return identity{}, err
	}
	id, err := readIdentity(cfg.Dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return create(cfg, names)
	case err != nil:
		return id, err
	}
	_, err = os.Stat(filepath.Join(cfg.Dir, badgerDir, manifestFile))
	if errors.Is(err, os.ErrNotExist) {
		if id.Complete {
			return id, refuse(cfg.Dir, ErrDamaged, remedyReset,
				"%s is missing, so the store would open empty", filepath.Join(badgerDir, manifestFile))
		}
		return id, nil
	}
	if err != nil {
		return id, refuse(cfg.Dir, ErrAccess, remedyDir, "%v", err)
	}
	return id, verify(cfg, filepath.Join(cfg.Dir, badgerDir))
}

// entries lists the directory without what file systems and our own half
// written files leave there.
func entries(dir string) ([]string, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, refuse(dir, ErrAccess, remedyDir, "%v", err)
	}
	var names []string
	for _, e := range found {
		if n := e.Name(); n != "lost+found" && n != identityFile+halfWritten {
			names = append(names, n)
		}
	}
	return names, nil
}

func create(cfg *Config, names []string) (identity, error) {
	for _, n := range names {
		if n == badgerDir || n == ballastFile {
			return identity{}, refuse(cfg.Dir, ErrIdentity, remedyReset,
				"%s is there, but the file %q is missing", n, identityFile)
		}
	}
	if len(names) > 0 {
		return identity{}, refuse(cfg.Dir, ErrForeign, remedyDir, "it holds %q", names[0])
	}
	if err := roomToCreate(cfg); err != nil {
		return identity{}, err
	}
	id, err := newIdentity(cfg.Now())
	if err != nil {
		return id, err
	}
	return id, writeIdentity(cfg.Dir, id)
}
