package persistence

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// Retention bounds the change feed; what is older or beyond it is removed.
type Retention struct {
	Age   time.Duration // 0: 72 h
	Bytes int64         // 0: 1 GiB, over all tenants; the largest tenant gives first
}

// Config says how a Store runs. Only Dir is needed.
type Config struct {
	Dir        string
	NoSync     bool // true: commits survive a crash of the process, not of the machine
	Log        *slog.Logger
	Now        func() time.Time // stamps feed entries; nil: time.Now
	Fatal      func(error)      // called once on a storage error; must not call Close; nil: log and exit
	Retention  Retention
	Ballast    int64 // bytes held back for a full disk; 0: 256 MiB, negative: none
	Registerer prometheus.Registerer

	faults faults
}

// faults lets tests stand in for the disk.
type faults struct {
	statfs func(dir string) (free, total uint64, err error)
	commit func(*badger.Txn) error
	every  time.Duration // of the guard and the sweep
	table  int64         // bytes of a memtable
	piece  time.Duration // of a look at shards whose digest is not known
}

// memTable is the size of Badger's memtables; part of the format, since logs
// are twice as long.
func (c *Config) memTable() int64 {
	if c.faults.table > 0 {
		return c.faults.table
	}
	return 16 << 20
}

// Store is one data directory in use. All methods may be called from any
// goroutine.
type Store struct {
	cfg     Config
	id      identity
	lock    *os.File
	db      *badger.DB
	writer  *writer
	reader  *reader
	digests *digests
	feeds   *feeds
	guard   *guard
	metrics *metrics

	failed  atomic.Pointer[error]
	stop    chan struct{}
	closing sync.Once
	wg      sync.WaitGroup // guard, sweep and readers
	writing sync.WaitGroup
	err     error // of Close

	reading sync.RWMutex // held for reading while a caller reads by itself
	closed  bool
}

func (c *Config) defaults() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Fatal == nil {
		log := c.Log
		c.Fatal = func(err error) {
			log.Error("storage failed, the process ends", "error", err)
			os.Exit(1)
		}
	}
	if c.Retention.Age == 0 {
		c.Retention.Age = 72 * time.Hour
	}
	if c.Retention.Bytes == 0 {
		c.Retention.Bytes = 1 << 30
	}
	if c.Ballast == 0 {
		c.Ballast = 256 << 20
	}
	if c.faults.statfs == nil {
		c.faults.statfs = statfs
	}
}

// Open opens the store in cfg.Dir, or creates one in an empty or missing
// directory. A directory that it will not use gives a RefusedError and stays
// as it was.
func Open(cfg Config) (*Store, error) {
	cfg.defaults()
	s := &Store{cfg: cfg, stop: make(chan struct{})}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.abandon())
	}
	s.writing.Go(s.writer.run)
	for range readers {
		s.wg.Go(s.reader.run)
	}
	s.wg.Go(s.guard.run)
	s.wg.Go(s.sweep)
	s.wg.Go(s.scanAll)
	s.wg.Go(s.pruneAll)
	return s, nil
}

func (s *Store) open() (err error) {
	s.metrics = newMetrics(s.cfg.Registerer)
	if s.lock, err = lockDir(s.cfg.Dir); err != nil {
		return err
	}
	if s.id, err = examine(&s.cfg); err != nil {
		return err
	}
	if s.guard, err = newGuard(s); err != nil {
		return err
	}
	if err := s.openBadger(); err != nil {
		return err
	}
	s.writer, s.reader, s.digests = newWriter(s), newReader(s), newDigests(s)
	if s.cfg.faults.commit != nil {
		s.writer.apply = s.cfg.faults.commit
	}
	if s.feeds, err = loadFeeds(s); err != nil {
		return err
	}
	return s.metrics.publish(s)
}

// abandon gives back what a failed open holds.
func (s *Store) abandon() error {
	err := s.closeBadger()
	s.metrics.unregister()
	return errors.Join(err, unlockDir(s.lock))
}

// Close stores what is queued, answers every waiting call, and gives the
// directory back. Later calls get ErrClosed.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.writer.close()
		s.writing.Wait()
		close(s.stop)
		s.reader.close()
		s.wg.Wait()
		s.feeds.close()
		s.endReading()
		s.err = s.abandon()
		if err := s.failure(); err != nil {
			s.err = errors.Join(err, s.err)
		}
	})
	return s.err
}

// endReading waits for the callers that read by themselves.
func (s *Store) endReading() {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.closed = true
}

// Node is the identity of this data directory: random, made with it, never
// zero, and the same until the directory is lost or reset.
func (s *Store) Node() uint64 { return s.id.Node }

// Writable tells whether commits are taken: false while the disk is nearly
// full and after a storage error.
func (s *Store) Writable() bool { return !s.guard.low.Load() && s.failure() == nil }

// fail records the first storage error, tells Fatal about it, and returns what
// the callers of the failed operation get.
func (s *Store) fail(cause error) error {
	err := fmt.Errorf("%w: %w", ErrFailed, cause)
	if s.failed.CompareAndSwap(nil, &err) {
		s.cfg.Fatal(err)
	}
	return err
}

func (s *Store) failure() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// corrupt passes a read's error on; a failed checksum ends the store.
func (s *Store) corrupt(err error) error {
	if errors.Is(err, ErrCorrupt) {
		return s.fail(err)
	}
	return err
}
