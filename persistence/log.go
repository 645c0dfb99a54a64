package persistence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"

	"github.com/dgraph-io/badger/v4/y"
)

// The layout of Badger's write-ahead log: a header, then records of
// [meta][user meta][key length][value length][expiry][key][value][CRC32C],
// the entries of a transaction followed by one record that ends it, then
// zeros.
const (
	logHeader    = 20
	logTxn       = 1 << 6
	logEnd       = 1 << 7
	logMaxKey    = 1 << 16
	logSector    = 512
	endOfTxnMark = "!badger!txn"
)

type logRecord struct {
	meta       byte
	key, value []byte
	size       int
}

// parseRecord reads one record; false when there is none or it is broken.
func parseRecord(b []byte) (logRecord, bool) {
	if len(b) < 2 {
		return logRecord{}, false
	}
	at := 2
	var fields [3]uint64
	for i := range fields {
		n, size := binary.Uvarint(b[at:])
		if size <= 0 {
			return logRecord{}, false
		}
		fields[i], at = n, at+size
	}
	klen, vlen := fields[0], fields[1]
	if klen < 8 || klen > logMaxKey || vlen > uint64(len(b)) || uint64(at)+klen+vlen+4 > uint64(len(b)) {
		return logRecord{}, false
	}
	end := at + int(klen+vlen)
	if binary.BigEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return logRecord{}, false
	}
	return logRecord{b[0], b[at : at+int(klen)], b[at+int(klen) : end], end + 4}, true
}

func (r logRecord) ends() bool {
	return r.meta&logEnd != 0 && bytes.HasPrefix(r.key, []byte(endOfTxnMark))
}

// logFiles lists the logs. A kill may leave one empty, between its making and
// its sizing.
func logFiles(dir string) (empty, written []string, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, nil, err
		}
		if info.Size() == 0 {
			empty = append(empty, name)
			continue
		}
		written = append(written, name)
	}
	return empty, written, nil
}

// removeEmptyLogs takes away files that a kill left between their making and
// their sizing, and that Badger would not open. Value logs never hold data
// here.
func removeEmptyLogs(dir string) error {
	empty, _, err := logFiles(dir)
	if err != nil {
		return err
	}
	valueLogs, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	for _, name := range valueLogs {
		info, statErr := os.Stat(name)
		if err = errors.Join(err, statErr); statErr == nil && info.Size() == 0 {
			empty = append(empty, name)
		}
	}
	for _, name := range empty {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// verifyLog tells a log that ends in an unfinished write, as a crash leaves
// it, from one that was damaged: only the last transaction can be unfinished,
// and what it did not write is zero. A log has full bytes, or, once replayed,
// ends with its last record. each is shown every record of whole transactions
// and perhaps of the unfinished one.
func verifyLog(name string, full int64, unsynced bool, each func(logRecord)) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if len(b) < logHeader || binary.BigEndian.Uint64(b) != 0 {
		return fmt.Errorf("%s: the header is broken", filepath.Base(name))
	}
	end, at, version := walkLog(b, each)
	if int64(len(b)) != full && len(b) != end {
		return fmt.Errorf("%s: it is cut off at byte %d", filepath.Base(name), len(b))
	}
	if bytes.Count(b[at:], []byte{0}) == len(b)-at {
		return nil
	}
	ends, first := laterEnds(b, at)
	unfinished := ends == 0 && !flippedEnd(b[at:], version)
	torn := (ends == 1 || ends > 1 && unsynced) && zeroSector(b, end, first)
	if unfinished || torn {
		return nil
	}
	return fmt.Errorf("%s: the record at byte %d does not match its checksum", filepath.Base(name), at)
}

// walkLog follows the records. It gives the end of the last whole transaction,
// the first byte that is no record, and the version of the transaction that is
// open there (0: none).
func walkLog(b []byte, each func(logRecord)) (end, at int, version uint64) {
	end, at = logHeader, logHeader
	for {
		r, ok := parseRecord(b[at:])
		if !ok {
			return end, at, version
		}
		ts := y.ParseTs(r.key)
		if !r.ends() && version != 0 && ts != version {
			return end, at, version
		}
		at += r.size
		if r.ends() {
			end, version = at, 0
			continue
		}
		if r.meta&logTxn != 0 {
			version = ts
		}
		each(r)
	}
}

// laterEnds counts the transaction ends after a broken record, and gives the
// place of the first.
func laterEnds(b []byte, at int) (n, first int) {
	for i := at; i < len(b); i++ {
		if b[i] != logEnd {
			continue
		}
		r, ok := parseRecord(b[i:])
		if !ok || !r.ends() {
			continue
		}
		if n == 0 {
			first = i
		}
		n++
		i += r.size - 1
	}
	return n, first
}

// zeroSector tells whether a part of b[from:to] that lies in one disk sector
// is all zero: it never reached the disk.
func zeroSector(b []byte, from, to int) bool {
	for from < to {
		next := min(to, from-from%logSector+logSector)
		if next-from >= 16 && bytes.Count(b[from:next], []byte{0}) == next-from {
			return true
		}
		from = next
	}
	return false
}

// flippedEnd tells whether b begins with the end record of the transaction,
// wholly written but not right. What is missing of an unfinished one is zero.
func flippedEnd(b []byte, version uint64) bool {
	if version == 0 {
		return false
	}
	key := y.KeyWithTs([]byte(endOfTxnMark), version)
	value := strconv.FormatUint(version, 10)
	want := append([]byte{logEnd, 0, byte(len(key)), byte(len(value)), 0}, key...)
	want = append(want, value...)
	want = binary.BigEndian.AppendUint32(want, crc32.Checksum(want, castagnoli))
	if len(b) < len(want) {
		return false
	}
	wrong, missing := 0, 0
	for i, c := range want {
		switch {
		case b[i] == c:
		case b[i] == 0:
			missing++
		default:
			wrong++
		}
	}
	return wrong+missing == 1 || wrong > 0 && wrong+missing <= 4
}
