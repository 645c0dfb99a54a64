package persistence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/dgraph-io/ristretto/v2/z"
	"google.golang.org/protobuf/proto"
)

const manifestFile = "MANIFEST"

// verify reads a Badger directory before Badger does, because Badger repairs
// silently: it leaves out a table with a bad checksum, deletes tables that the
// manifest does not name, and cuts a log at its first bad record. What an
// ordinary crash leaves behind passes; all else is ErrDamaged. It gives the
// identity inside, nil when there is none. A directory that was left open must
// have a log.
func verify(cfg *Config, leftOpen bool) (inside []byte, err error) {
	v := verifier{dir: filepath.Join(cfg.Dir, badgerDir), leftOpen: leftOpen, unsynced: cfg.NoSync, logSize: 2 * cfg.memTable(), open: make(map[uint64]*table.Table)}
	defer v.close()
	err = v.run()
	if err == nil {
		inside, err = v.insideIdentity()
	}
	switch {
	case errors.Is(err, ErrFormat):
		return nil, refuse(cfg.Dir, ErrFormat, remedyFormat, "%v", err)
	case err != nil:
		return nil, refuse(cfg.Dir, ErrDamaged, remedyReset, "%v", err)
	}
	return inside, nil
}

type verifier struct {
	dir      string
	leftOpen bool
	unsynced bool
	logSize  int64

	named   map[uint64]badger.TableManifest
	deleted map[uint64]bool // tables that the manifest once deleted

	mu   sync.Mutex
	open map[uint64]*table.Table // of named
}

func (v *verifier) run() error {
	if err := v.readManifest(); err != nil {
		return err
	}
	if err := v.readRegistry(); err != nil {
		return err
	}
	if err := v.openTables(); err != nil {
		return err
	}
	if err := v.checkLogs(); err != nil {
		return err
	}
	return v.checkOrphans()
}

func (v *verifier) checkLogs() error {
	empty, written, err := logFiles(v.dir)
	if err != nil {
		return err
	}
	if v.leftOpen && len(written) == 0 {
		return errors.New("the log with the newest commits is missing")
	}
	if len(empty) > 1 {
		return fmt.Errorf("%s is empty", filepath.Base(empty[0]))
	}
	return v.readLogs(func(logRecord) {})
}

// readLogs verifies every log and shows its records.
func (v *verifier) readLogs(each func(logRecord)) error {
	_, logs, err := logFiles(v.dir)
	if err != nil {
		return err
	}
	for _, name := range logs {
		if err := verifyLog(name, v.logSize, v.unsynced, each); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) readManifest() error {
	name := filepath.Join(v.dir, manifestFile)
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if len(text) < 8 || string(text[:4]) != "Bdgr" {
		return fmt.Errorf("%s is not a manifest", manifestFile)
	}
	if format := binary.BigEndian.Uint16(text[4:]); format != formatVersion {
		return fmt.Errorf("%w: format %d in %s, this version knows %d", ErrFormat, format, manifestFile, formatVersion)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	m, end, err := badger.ReplayManifestFile(f, formatVersion, badger.Options{})
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", manifestFile, err)
	}
	v.named = m.Tables
	return v.readDeletions(text[8:end])
}

// readDeletions notes which tables the manifest has deleted: a crash may leave
// their files behind.
func (v *verifier) readDeletions(records []byte) error {
	v.deleted = make(map[uint64]bool)
	for len(records) >= 8 {
		n := binary.BigEndian.Uint32(records)
		var set pb.ManifestChangeSet
		if err := proto.Unmarshal(records[8:8+n], &set); err != nil {
			return fmt.Errorf("%s: %w", manifestFile, err)
		}
		for _, c := range set.Changes {
			if c.Op == pb.ManifestChange_DELETE {
				v.deleted[c.Id] = true
			}
		}
		records = records[8+n:]
	}
	return nil
}

func (v *verifier) readRegistry() error {
	_, err := os.Stat(filepath.Join(v.dir, badger.KeyRegistryFileName))
	if errors.Is(err, os.ErrNotExist) {
		return nil // it holds nothing without encryption
	}
	r, err := badger.OpenKeyRegistry(badger.KeyRegistryOptions{Dir: v.dir, ReadOnly: true})
	if err != nil {
		return fmt.Errorf("%s: %w", badger.KeyRegistryFileName, err)
	}
	return r.Close()
}

// openTables opens every table of the manifest, two at a time, and verifies
// every block in it.
func (v *verifier) openTables() error {
	throttle := y.NewThrottle(2)
	for id := range v.named {
		if err := throttle.Do(); err != nil {
			return err
		}
		go func() {
			t, err := openTable(v.dir, id, options.OnTableRead)
			if err == nil {
				v.mu.Lock()
				v.open[id] = t
				v.mu.Unlock()
			}
			throttle.Done(err)
		}()
	}
	return throttle.Finish()
}

func (v *verifier) close() {
	for _, t := range v.open {
		_ = t.Close(-1) // only read
	}
}

// openTable opens a table file to read. Badger ends the process on some broken
// files, so the footer and the index are looked at first.
func openTable(dir string, id uint64, mode options.ChecksumVerificationMode) (t *table.Table, err error) {
	name := table.NewFilename(id, dir)
	defer func() {
		if p := recover(); p != nil {
			t, err = nil, fmt.Errorf("%s: %v", filepath.Base(name), p)
		}
	}()
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() < 16 {
		return nil, fmt.Errorf("%s has only %d bytes", filepath.Base(name), info.Size())
	}
	f, err := z.OpenMmapFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	if err := checkIndex(f.Data); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", filepath.Base(name), err), f.Close(-1))
	}
	t, err = table.OpenTable(f, table.Options{BlockSize: 4 << 10, ChkMode: mode, ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return t, nil
}

// checkIndex verifies a table's tail: index, its length, checksum, its length.
func checkIndex(b []byte) error {
	cut := func() ([]byte, bool) {
		if len(b) < 4 {
			return nil, false
		}
		n := uint64(binary.BigEndian.Uint32(b[len(b)-4:]))
		b = b[:len(b)-4]
		if n > uint64(len(b)) {
			return nil, false
		}
		part := b[uint64(len(b))-n:]
		b = b[:uint64(len(b))-n]
		return part, true
	}
	sum, ok := cut()
	if !ok {
		return errors.New("the footer is broken")
	}
	index, ok := cut()
	if !ok {
		return errors.New("the footer is broken")
	}
	var want pb.Checksum
	if err := proto.Unmarshal(sum, &want); err != nil {
		return fmt.Errorf("the footer is broken: %w", err)
	}
	return y.VerifyChecksum(index, &want)
}

// tableFiles lists the ids of the table files in the directory.
func tableFiles(dir string) ([]uint64, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return nil, err
	}
	var ids []uint64
	for _, name := range names {
		id, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(name), ".sst"), 10, 64)
		if err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
