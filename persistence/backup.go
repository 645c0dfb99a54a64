package persistence

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/dgraph-io/badger/v4"

	"rollcall/presence"
)

// largeCopy is the size beyond which a user is written in several records.
const largeCopy = 256 << 10

// Backup writes one part of a backup: all users and policies as they were at one
// moment, from a single read transaction, in the caller's goroutine. The feed is
// not in it. h says what the part is of; Node and Taken are set here. Commits go
// on meanwhile; Close waits for the end, so ctx or an error of w should bring it
// then. progress, which may be nil, is called after every user.
func (s *Store) Backup(ctx context.Context, w io.Writer, h BackupHead, progress func(BackupCount)) (BackupCount, error) {
	h.Node, h.Taken = s.Node(), s.cfg.Now().UTC()
	b, err := newBackupWriter(w, &h)
	if err != nil {
		return BackupCount{}, err
	}
	err = s.view(func(txn *badger.Txn) error {
		err := walk(ctx, txn, func(u *walked) error {
			if progress != nil {
				progress(b.count)
			}
			return b.user(u.copy())
		})
		if err != nil {
			return err
		}
		return scan(txn, []byte{byte(kindPolicy)}, func(_, payload []byte) error {
			return b.policy(payload)
		})
	})
	if err != nil {
		return b.count, err
	}
	return b.count, b.end()
}

// OpenExisting is Open for a directory that has a store: it makes none.
func OpenExisting(cfg Config) (*Store, error) {
	names, err := os.ReadDir(cfg.Dir)
	if err != nil {
		return nil, refuse(cfg.Dir, ErrAccess, remedyDir, "%v", err)
	}
	if len(names) == 0 {
		return nil, refuse(cfg.Dir, ErrForeign, remedyDir, "it is empty")
	}
	return Open(cfg)
}

// backupWriter writes one part.
type backupWriter struct {
	w     *bufio.Writer
	sum   hash.Hash
	count BackupCount
	frame []byte
}

// errBackup marks what is wrong with the writing of a backup, not with the store.
var errBackup = errors.New("persistence: write the backup")

func newBackupWriter(w io.Writer, h *BackupHead) (*backupWriter, error) {
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", errBackup, err)
	}
	head, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBackup, err)
	}
	b := &backupWriter{w: bufio.NewWriterSize(w, 64<<10), sum: sha256.New()}
	begin := append([]byte(backupMagic), 0, 0, 0, backupFormat)
	return b, b.write(frameRecord(begin, recordHead, head))
}

func (b *backupWriter) write(raw []byte) error {
	b.sum.Write(raw)
	n, err := b.w.Write(raw)
	b.count.Bytes += int64(n)
	if err != nil {
		return fmt.Errorf("%w: %w", errBackup, err)
	}
	return nil
}

func (b *backupWriter) record(kind byte, payload []byte) error {
	if len(payload) > maxRecord {
		return fmt.Errorf("%w: a record of %d bytes, at most %d", errBackup, len(payload), maxRecord)
	}
	b.frame = frameRecord(b.frame[:0], kind, payload)
	b.count.Records++
	return b.write(b.frame)
}

// user writes a copy in as many records as it needs.
func (b *backupWriter) user(c Commit) error {
	b.count.Users++
	kind := byte(recordUser)
	for _, part := range pieces(c) {
		payload, err := encodeCopy(&part)
		if err != nil {
			return fmt.Errorf("%w: encode %s: %w", errBackup, c.User, err)
		}
		if err := b.record(kind, payload); err != nil {
			return err
		}
		kind = recordMore
	}
	return nil
}

// pieces parts a copy so that each part is small; the first has the state.
func pieces(c Commit) []Commit {
	parts := []Commit{c}
	last := &parts[0]
	last.Elements = nil
	size := 0
	for i, e := range c.Elements {
		n := elementSize(&e)
		if i > 0 && size+n > largeCopy {
			parts = append(parts, Commit{User: c.User})
			last, size = &parts[len(parts)-1], 0
		}
		last.Elements = append(last.Elements, e)
		size += n
	}
	return parts
}

// elementSize is what an element takes, roughly and not less.
func elementSize(e *presence.Element) int {
	const fixed, target, entry = 64, 160, 64
	n := fixed + len(e.Key)
	switch v := e.Value.(type) {
	case presence.Watch:
		n += len(v.Targets) * target
	case presence.Calendar:
		for _, x := range v.Entries {
			n += entry + len(x.Message)
		}
	case presence.Note:
		n += len(v.Content)
	}
	return n
}

func (b *backupWriter) policy(payload []byte) error {
	b.count.Policies++
	return b.record(recordRule, payload)
}

// end writes the last record, which says that the part is whole.
func (b *backupWriter) end() error {
	frame := frameRecord(nil, recordEnd, endRecord(b.count, b.sum.Sum(nil)))
	n, err := b.w.Write(frame)
	b.count.Bytes += int64(n)
	if err = errors.Join(err, b.w.Flush()); err != nil {
		return fmt.Errorf("%w: %w", errBackup, err)
	}
	return nil
}
