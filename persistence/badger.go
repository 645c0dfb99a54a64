package persistence

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// badgerOptions are for many small values: all of them live in the LSM tree,
// blocks are read from the page cache, and memory stays small.
func badgerOptions(dir string) badger.Options {
	o := badger.DefaultOptions(filepath.Join(dir, badgerDir))
	o.ExternalMagicVersion = formatVersion
	o.MemTableSize = 16 << 20
	o.NumMemtables = 3
	o.Compression = options.None // with a block cache memory was not bounded
	o.BlockCacheSize = 0
	o.IndexCacheSize = 0
	o.ValueLogFileSize = 64 << 20
	o.NumCompactors = 2
	o.NumVersionsToKeep = 1
	o.DetectConflicts = false // one writer
	o.MetricsEnabled = false
	o.ChecksumVerificationMode = options.OnTableRead
	return o
}

// openBadger opens the store inside a directory that was examined.
func (s *Store) openBadger() error {
	ear := &listener{store: s}
	o := badgerOptions(s.cfg.Dir)
	o.SyncWrites = !s.cfg.NoSync
	o.Logger = ear
	db, err := badger.Open(o)
	if err == nil && ear.opening.Load() != nil {
		err = errors.Join(errors.New(*ear.opening.Load()), db.Close())
	}
	if err != nil {
		return refuse(s.cfg.Dir, ErrDamaged, remedyReset, "badger: %v", err)
	}
	ear.running.Store(true)
	s.db = db
	return s.claim()
}

// claim compares the identity inside with the one outside; a directory that is
// still being made gets it now.
func (s *Store) claim() error {
	var inside []byte
	err := s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(identityKey())
		if err != nil {
			return err
		}
		inside, err = item.ValueCopy(nil)
		return err
	})
	switch {
	case err == nil:
		return s.compare(inside)
	case !errors.Is(err, badger.ErrKeyNotFound):
		return refuse(s.cfg.Dir, ErrDamaged, remedyReset, "read the identity inside: %v", err)
	case s.id.Complete:
		return refuse(s.cfg.Dir, ErrIdentity, remedyReset, "the store inside holds no identity")
	}
	value := make([]byte, sumSize, sumSize+12)
	value = binary.BigEndian.AppendUint32(value, formatVersion)
	value = binary.BigEndian.AppendUint64(value, s.id.Node)
	if err := s.db.Update(func(txn *badger.Txn) error {
		return txn.Set(identityKey(), seal(identityKey(), value))
	}); err != nil {
		return fmt.Errorf("persistence: write the identity inside %s: %w", s.cfg.Dir, err)
	}
	return s.complete()
}

func (s *Store) compare(inside []byte) error {
	payload, err := unseal(identityKey(), inside)
	if err != nil || len(payload) != 12 {
		return refuse(s.cfg.Dir, ErrDamaged, remedyReset, "the identity inside does not match its checksum")
	}
	if format := binary.BigEndian.Uint32(payload); format != formatVersion {
		return refuse(s.cfg.Dir, ErrFormat, "use the version of Rollcall that wrote it",
			"format %d inside, this version knows %d", format, formatVersion)
	}
	if node := binary.BigEndian.Uint64(payload[4:]); node != s.id.Node {
		return refuse(s.cfg.Dir, ErrMismatch, remedyReset,
			"the file says node %016x, the store inside %016x", s.id.Node, node)
	}
	return s.complete()
}

// complete marks the directory as fully made.
func (s *Store) complete() error {
	if s.id.Complete {
		return nil
	}
	if err := s.db.Sync(); err != nil {
		return fmt.Errorf("persistence: sync %s: %w", s.cfg.Dir, err)
	}
	s.id.Complete = true
	return writeIdentity(s.cfg.Dir, s.id)
}

// listener passes Badger's warnings to the log. Some failures Badger only
// logs: a table left out at open, a flush or compaction that it repeats for
// ever. Those end the store.
type listener struct {
	store   *Store
	running atomic.Bool
	opening atomic.Pointer[string]
}

func (l *listener) Errorf(format string, args ...any) {
	text := l.log(slog.LevelError, format, args)
	if l.running.Load() {
		_ = l.store.fail(errors.New("badger: " + text)) // the error went to Fatal
		return
	}
	l.opening.CompareAndSwap(nil, &text)
}

func (l *listener) Warningf(format string, args ...any) {
	text := l.log(slog.LevelWarn, format, args)
	if l.running.Load() && strings.Contains(strings.ToLower(text), "compact") {
		_ = l.store.fail(errors.New("badger: " + text)) // the error went to Fatal
	}
}

func (l *listener) Infof(string, ...any)  {}
func (l *listener) Debugf(string, ...any) {}

func (l *listener) log(level slog.Level, format string, args []any) string {
	text := strings.TrimSpace(fmt.Sprintf(format, args...))
	l.store.cfg.Log.Log(context.Background(), level, "badger", "text", text)
	return text
}
