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
func badgerOptions(cfg *Config) badger.Options {
	o := badger.DefaultOptions(filepath.Join(cfg.Dir, badgerDir))
	o.ExternalMagicVersion = formatVersion
	o.MemTableSize = cfg.memTable()
	o.NumMemtables = 3
	o.ValueThreshold = maxValue + 1 // no value goes to the value log
	o.Compression = options.None    // with a block cache memory was not bounded
	o.BlockCacheSize = 0
	o.IndexCacheSize = 0
	o.ValueLogFileSize = 64 << 20
	if cfg.faults.table > 0 {
		o.ValueLogFileSize = 1 << 20
	}
	o.NumCompactors = 2
	o.NumVersionsToKeep = 1
	o.DetectConflicts = false // one writer
	o.MetricsEnabled = false
	o.ChecksumVerificationMode = options.OnTableRead
	return o
}

// openBadger opens the store inside a directory that was examined.
func (s *Store) openBadger() error {
	if err := removeEmptyLogs(filepath.Join(s.cfg.Dir, badgerDir)); err != nil {
		return fmt.Errorf("persistence: %w", err)
	}
	ear := &listener{store: s}
	o := badgerOptions(&s.cfg)
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

// claim puts the identity into a store that is being made, and marks the
// directory as open.
func (s *Store) claim() error {
	if s.id.State == stateMaking {
		value := make([]byte, sumSize, sumSize+12)
		value = binary.BigEndian.AppendUint32(value, formatVersion)
		value = binary.BigEndian.AppendUint64(value, s.id.Node)
		err := s.db.Update(func(txn *badger.Txn) error {
			return txn.Set(identityKey(), seal(identityKey(), value))
		})
		if err = errors.Join(err, s.db.Sync()); err != nil {
			return fmt.Errorf("persistence: write the identity inside %s: %w", s.cfg.Dir, err)
		}
	}
	s.id.State = stateOpen
	return writeIdentity(s.cfg.Dir, s.id)
}

// closeBadger ends Badger, which moves the log into tables. The directory is
// marked first: a kill in between leaves a log or none.
func (s *Store) closeBadger() error {
	if s.db == nil {
		return nil
	}
	var err error
	if s.failure() == nil && s.id.State == stateOpen {
		s.id.State = stateClosed
		err = writeIdentity(s.cfg.Dir, s.id)
	}
	return errors.Join(err, s.db.Close())
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
