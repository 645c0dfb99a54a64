package persistence

import (
	"encoding/binary"
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
		if id.State != stateMaking {
			return id, refuse(cfg.Dir, ErrDamaged, remedyReset,
				"%s is missing, so the store would open empty", filepath.Join(badgerDir, manifestFile))
		}
		return id, nil
	}
	if err != nil {
		return id, refuse(cfg.Dir, ErrAccess, remedyDir, "%v", err)
	}
	inside, err := verify(cfg, id.State == stateOpen)
	if err != nil {
		return id, err
	}
	return id, compare(cfg.Dir, id, inside)
}

// compare holds the identity inside the store against the file's.
func compare(dir string, id identity, inside []byte) error {
	if inside == nil {
		if id.State != stateMaking {
			return refuse(dir, ErrIdentity, remedyReset, "the store inside holds no identity")
		}
		return nil
	}
	payload, err := unseal(identityKey(), inside)
	if err != nil || len(payload) != 12 {
		return refuse(dir, ErrDamaged, remedyReset, "the identity inside does not match its checksum")
	}
	if format := binary.BigEndian.Uint32(payload); format != formatVersion {
		return refuse(dir, ErrFormat, remedyFormat, "format %d inside, this version knows %d", format, formatVersion)
	}
	if node := binary.BigEndian.Uint64(payload[4:]); node != id.Node {
		return refuse(dir, ErrMismatch, remedyReset,
			"the file says node %016x, the store inside %016x", id.Node, node)
	}
	return nil
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
