package persistence

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"rollcall/presence"
)

// BackupReader reads a backup and believes nothing of it: every record is
// bounded and has its checksum verified before it is given, every part is
// counted and has its checksum verified before it ends. After an error nothing
// more can be read. One caller at a time.
type BackupReader struct {
	r      io.Reader
	sum    hash.Hash
	buf    []byte     // the record read last
	head   BackupHead // of the part being read; Part 0 before the first
	inside bool       // a part has begun and not ended
	part   BackupCount
	total  BackupCount
	fault  error
}

// NewBackupReader reads from r in small pieces.
func NewBackupReader(r io.Reader) *BackupReader {
	return &BackupReader{r: r, sum: sha256.New()}
}

// BackupRecord is one record; it is valid until the next is read. One of its
// methods fits.
type BackupRecord struct {
	kind    byte
	payload []byte
	at      int64
}

// User gives the user of a copy, which may be one of several; ok is false for
// another record.
func (r BackupRecord) User() (c Commit, ok bool, err error) {
	if r.kind != recordUser && r.kind != recordMore {
		return c, false, nil
	}
	c, err = decodeCopy(r.payload)
	if err != nil {
		return c, true, damaged(r.at, "a user that this version would not store: %v", err)
	}
	return c, true, nil
}

// Policy gives a tenant's policy; ok is false for another record.
func (r BackupRecord) Policy() (p presence.Policy, ok bool, err error) {
	if r.kind != recordRule {
		return p, false, nil
	}
	p, err = decodePolicy(r.payload)
	if err != nil {
		return p, true, damaged(r.at, "a policy that this version would not store: %v", err)
	}
	return p, true, nil
}

func damaged(at int64, format string, args ...any) error {
	return fmt.Errorf("%w (byte %d: %s)", ErrBackupDamaged, at, fmt.Sprintf(format, args...))
}

// Count is what has been read of all parts.
func (r *BackupReader) Count() BackupCount { return r.total }

// Next begins the next part. It is io.EOF after the last of those that belong
// together. The part before must have been read to its end.
func (r *BackupReader) Next() (BackupHead, error) {
	if r.fault != nil {
		return BackupHead{}, r.fault
	}
	if r.inside {
		return BackupHead{}, errors.New("persistence: the part before was not read to its end")
	}
	head, err := r.next()
	if err != nil {
		r.fault = err
		return BackupHead{}, err
	}
	r.inside = true
	return head, nil
}

// NextPart is Next where only this part of a backup is there to be read.
func (r *BackupReader) NextPart(part, of int) (BackupHead, error) {
	r.head = BackupHead{Part: part - 1, Of: of}
	return r.Next()
}

func (r *BackupReader) next() (h BackupHead, err error) {
	before := r.head
	began, err := r.begin()
	if err != nil {
		return h, err
	}
	if !began {
		if before.Part < before.Of {
			return h, damaged(r.total.Bytes, "it ends after part %d of %d", before.Part, before.Of)
		}
		return h, io.EOF
	}
	at := r.total.Bytes
	kind, payload, err := r.frame()
	if err != nil {
		return h, err
	}
	if kind != recordHead {
		return h, damaged(at, "a part begins with a record of kind %q", kind)
	}
	if h, err = parseHead(payload); err != nil {
		return h, damaged(at, "%v", err)
	}
	follows := h.Part == 1
	if before.Part < before.Of {
		follows = h.Part == before.Part+1 && h.Of == before.Of
	}
	if !follows {
		return h, damaged(at, "part %d of %d follows part %d of %d", h.Part, h.Of, before.Part, before.Of)
	}
	r.sum.Write(r.buf)
	r.head = h
	return h, nil
}

// begin reads what every part begins with; false at the end of the file.
func (r *BackupReader) begin() (bool, error) {
	first := r.total.Bytes == 0
	b := r.space(len(backupMagic) + 4)
	n, err := io.ReadFull(r.r, b)
	switch {
	case n == 0 && errors.Is(err, io.EOF) && !first:
		return false, nil
	case first && n < len(b) && err != nil && !ended(err):
		return false, r.short(err)
	case !bytes.HasPrefix(b[:n], []byte(backupMagic)) && first:
		return false, ErrNoBackup
	case err != nil:
		return false, r.short(err)
	case !bytes.HasPrefix(b, []byte(backupMagic)):
		return false, damaged(r.total.Bytes, "something that is no part of a backup")
	}
	if format := binary.BigEndian.Uint32(b[len(backupMagic):]); format != backupFormat {
		return false, fmt.Errorf("%w (it says format %d, this version reads %d)", ErrBackupFormat, format, backupFormat)
	}
	r.sum.Reset()
	r.sum.Write(b)
	r.part = BackupCount{}
	r.total.Bytes += int64(n)
	return true, nil
}

// Read gives the next record of the part; io.EOF when the part has ended as its
// writer ended it.
func (r *BackupReader) Read() (BackupRecord, error) {
	if r.fault != nil {
		return BackupRecord{}, r.fault
	}
	rec, err := r.read()
	if err != nil && !errors.Is(err, io.EOF) {
		r.fault = err
	}
	return rec, err
}

func (r *BackupReader) read() (rec BackupRecord, err error) {
	if !r.inside {
		return rec, io.EOF
	}
	at := r.total.Bytes
	kind, payload, err := r.frame()
	if err != nil {
		return rec, err
	}
	one := BackupCount{Records: 1}
	switch kind {
	case recordUser:
		one.Users = 1
	case recordMore:
		if r.part.Users == 0 {
			return rec, damaged(at, "more of a user, and no user before")
		}
	case recordRule:
		one.Policies = 1
	case recordEnd:
		if !bytes.Equal(payload, endRecord(r.part, r.sum.Sum(nil))) {
			return rec, damaged(at, "part %d of %d does not match its checksum or count", r.head.Part, r.head.Of)
		}
		r.inside = false
		return rec, io.EOF
	default:
		return rec, damaged(at, "a record of unknown kind %q", kind)
	}
	r.sum.Write(r.buf)
	r.part.add(one)
	r.total.add(one)
	return BackupRecord{kind, payload, at}, nil
}

// frame reads a record whole; its bytes stay in buf until the next.
func (r *BackupReader) frame() (kind byte, payload []byte, err error) {
	at := r.total.Bytes
	b := r.space(recordFrame)
	if _, err := io.ReadFull(r.r, b); err != nil {
		return 0, nil, r.short(err)
	}
	n := binary.BigEndian.Uint32(b[1:])
	if n > maxRecord {
		return 0, nil, damaged(at, "a record of %d bytes, at most %d", n, maxRecord)
	}
	b = r.space(recordFrame + int(n) + sumSize)
	if _, err := io.ReadFull(r.r, b[recordFrame:]); err != nil {
		return 0, nil, r.short(err)
	}
	body := b[:recordFrame+n]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[recordFrame+n:]) {
		return 0, nil, damaged(at, "a record does not match its checksum")
	}
	r.total.Bytes += int64(len(b))
	return b[0], body[recordFrame:], nil
}

// space makes buf so long; what is in it stays.
func (r *BackupReader) space(n int) []byte {
	if cap(r.buf) < n {
		r.buf = append(make([]byte, 0, max(n, 2*cap(r.buf))), r.buf...)
	}
	r.buf = r.buf[:n]
	return r.buf
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// short words the end of the file where more should be; other errors pass.
func (r *BackupReader) short(err error) error {
	if ended(err) {
		return damaged(r.total.Bytes, "it ends in the middle of a part")
	}
	return fmt.Errorf("read the backup: %w", err)
}
