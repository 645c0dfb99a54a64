package persistence

import (
	"fmt"
	"math"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// checkOrphans looks at tables that the manifest does not name and Badger
// would delete. A crash leaves some: outputs of an unfinished flush or
// compaction, whose content stands elsewhere, and inputs of a finished one. A
// manifest that lost its tail leaves tables whose content is nowhere else.
func (v *verifier) checkOrphans() error {
	ids, err := tableFiles(v.dir)
	if err != nil {
		return err
	}
	var orphans []uint64
	for _, id := range ids {
		if _, named := v.named[id]; !named && !v.deleted[id] {
			orphans = append(orphans, id)
		}
	}
	if len(orphans) == 0 {
		return nil
	}
	logged := make(map[string]uint64)
	if err := v.readLogs(func(r logRecord) {
		key := string(y.ParseKey(r.key))
		logged[key] = max(logged[key], y.ParseTs(r.key))
	}); err != nil {
		return err
	}
	for _, id := range orphans {
		if err := v.checkOrphan(id, logged); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) checkOrphan(id uint64, logged map[string]uint64) error {
	t, err := openTable(v.dir, id, options.OnTableRead)
	if err != nil {
		return nil // half written: it never was part of the store
	}
	defer func() { _ = t.Close(-1) }() // only read
	it := t.NewIterator(table.NOCACHE)
	defer func() { _ = it.Close() }() // only read
	for it.Rewind(); it.Valid(); it.Next() {
		key, version := y.ParseKey(it.Key()), y.ParseTs(it.Key())
		if logged[string(key)] < version && !v.holds(key, version) {
			return fmt.Errorf("%s lacks table %s, which holds data that is nowhere else",
				manifestFile, filepath.Base(table.NewFilename(id, v.dir)))
		}
	}
	return nil
}

// holds tells whether a named table has the key in that version or a newer one.
func (v *verifier) holds(key []byte, version uint64) bool {
	_, newest := v.newest(key)
	return newest >= version
}

// newest gives the newest value of a key in the named tables; version 0 when
// there is none.
func (v *verifier) newest(key []byte) (value []byte, version uint64) {
	seek := y.KeyWithTs(key, math.MaxUint64)
	for _, t := range v.open {
		if y.CompareKeys(y.KeyWithTs(key, 0), t.Smallest()) < 0 || y.CompareKeys(seek, t.Biggest()) > 0 {
			continue
		}
		it := t.NewIterator(table.NOCACHE)
		it.Seek(seek)
		if it.Valid() && y.SameKey(seek, it.Key()) && y.ParseTs(it.Key()) > version {
			version = y.ParseTs(it.Key())
			value = append([]byte(nil), it.ValueCopy().Value...)
		}
		_ = it.Close() // only read
	}
	return value, version
}

// insideIdentity reads the identity that the store holds; nil when there is
// none. Logs are newer than tables.
func (v *verifier) insideIdentity() ([]byte, error) {
	key := identityKey()
	value, version := v.newest(key)
	err := v.readLogs(func(r logRecord) {
		if string(y.ParseKey(r.key)) == string(key) && y.ParseTs(r.key) > version {
			value, version = append([]byte(nil), r.value...), y.ParseTs(r.key)
		}
	})
	return value, err
}
