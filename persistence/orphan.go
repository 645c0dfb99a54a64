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
func (v *verifier) checkOrphans(logs []string) error {
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
	for _, name := range logs {
		if err := verifyLog(name, v.unsynced, logged); err != nil {
			return err
		}
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
	newest := y.KeyWithTs(key, math.MaxUint64)
	for _, t := range v.open {
		if y.CompareKeys(newest, t.Biggest()) > 0 || y.CompareKeys(y.KeyWithTs(key, 0), t.Smallest()) < 0 {
			continue
		}
		it := t.NewIterator(table.NOCACHE)
		it.Seek(newest)
		found := it.Valid() && y.SameKey(newest, it.Key()) && y.ParseTs(it.Key()) >= version
		_ = it.Close() // only read
		if found {
			return true
		}
	}
	return false
}
