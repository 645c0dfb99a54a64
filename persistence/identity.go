package persistence

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	formatVersion = 2

	identityFile = "identity"
	badgerDir    = "badger"
	ballastFile  = "ballast"
	halfWritten  = ".new"
)

// The states of a directory. One that is being made holds no user data yet; an
// open one has a log of its newest commits, which a clean end moves into
// tables.
const (
	stateMaking = "making"
	stateOpen   = "open"
	stateClosed = "closed"
)

// identity is the content of the identity file.
type identity struct {
	Format  int       `json:"format"`
	Node    uint64    `json:"node,string"`
	Created time.Time `json:"created"`
	State   string    `json:"state"`
	Sum     uint32    `json:"crc32c"`
}

func (id identity) checksum() uint32 {
	return crc32.Checksum(fmt.Appendf(nil, "%d %d %d %s",
		id.Format, id.Node, id.Created.UnixNano(), id.State), castagnoli)
}

// text is the only content of the file that is accepted for id.
func (id identity) text() ([]byte, error) {
	id.Sum = id.checksum()
	text, err := json.Marshal(id)
	return append(text, '\n'), err
}

func newIdentity(now time.Time) (identity, error) {
	id := identity{Format: formatVersion, State: stateMaking, Created: now.UTC().Truncate(time.Second)}
	for id.Node == 0 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return id, fmt.Errorf("persistence: choose a node id: %w", err)
		}
		id.Node = binary.BigEndian.Uint64(b[:])
	}
	return id, nil
}

// readIdentity reads and checks the identity file; os.ErrNotExist when there
// is none.
func readIdentity(dir string) (identity, error) {
	text, err := os.ReadFile(filepath.Join(dir, identityFile))
	if errors.Is(err, os.ErrNotExist) {
		return identity{}, err
	}
	if err != nil {
		return identity{}, refuse(dir, ErrAccess, remedyDir, "read the identity file: %v", err)
	}
	id, err := parseIdentity(text)
	switch {
	case errors.Is(err, ErrFormat):
		return id, refuse(dir, ErrFormat, remedyFormat, "%v", err)
	case err != nil:
		return id, refuse(dir, ErrIdentity, remedyReset, "%v", err)
	}
	return id, nil
}

// parseIdentity accepts only what text writes.
func parseIdentity(text []byte) (id identity, err error) {
	if err := json.Unmarshal(text, &id); err != nil {
		return id, fmt.Errorf("the identity file is not readable: %w", err)
	}
	if id.Format != formatVersion {
		return id, fmt.Errorf("%w: the identity file has format %d, this version knows %d", ErrFormat, id.Format, formatVersion)
	}
	if canonical, err := id.text(); err != nil || !bytes.Equal(text, canonical) {
		return id, errors.New("the identity file does not match its checksum")
	}
	return id, nil
}

// writeIdentity replaces the identity file in one step.
func writeIdentity(dir string, id identity) error {
	text, err := id.text()
	if err != nil {
		return fmt.Errorf("persistence: encode the identity: %w", err)
	}
	name := filepath.Join(dir, identityFile)
	if err := writeSynced(name+halfWritten, text); err != nil {
		return fmt.Errorf("persistence: write the identity: %w", err)
	}
	if err := os.Rename(name+halfWritten, name); err != nil {
		return fmt.Errorf("persistence: write the identity: %w", err)
	}
	return syncDir(dir)
}

func writeSynced(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("persistence: sync the directory: %w", err)
	}
	return errors.Join(f.Sync(), f.Close())
}

// lockDir makes a missing directory and holds an exclusive lock on it, which
// ends with the process. It leaves no file behind.
func lockDir(dir string) (*os.File, error) {
	if dir == "" {
		return nil, refuse(dir, ErrAccess, remedyDir, "no directory is named")
	}
	info, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(dir, 0o700); err == nil {
			info, err = os.Stat(dir)
		}
	}
	if err != nil {
		return nil, refuse(dir, ErrAccess, remedyDir, "%v", err)
	}
	if !info.IsDir() {
		return nil, refuse(dir, ErrAccess, remedyDir, "it is not a directory")
	}
	if err := unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		return nil, refuse(dir, ErrAccess, "give this user read and write permission, or "+remedyDir, "%v", err)
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, refuse(dir, ErrAccess, remedyDir, "%v", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(refuse(dir, ErrLocked, "stop that process, or "+remedyDir, "%v", err), f.Close())
	}
	return f, nil
}

func unlockDir(lock *os.File) error {
	if lock == nil {
		return nil
	}
	return lock.Close()
}
