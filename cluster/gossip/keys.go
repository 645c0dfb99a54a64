package gossip

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	keyBytes     = 32
	maxKeys      = 16
	maxKeyFile   = 16 << 10
	keyUseAfter  = 6 * time.Second  // a new key is accepted at once, and used when the others have read it too
	keyDropAfter = 12 * time.Second // a key that is gone from the file may still be in use elsewhere
)

// keys keeps memberlist's keyring like the key file. One goroutine uses it.
type keys struct {
	path string
	ring *memberlist.Keyring
	file [][]byte             // the keys of the last file that was good
	came map[string]time.Time // into the ring, after the start
	gone map[string]time.Time // from the file
}

// openKeys reads the key file for the first time.
func openKeys(path string) (*keys, error) {
	list, err := readKeys(path)
	if err != nil {
		return nil, err
	}
	ring, err := memberlist.NewKeyring(list, list[0])
	if err != nil {
		return nil, fmt.Errorf("gossip: keys: %w", err)
	}
	return &keys{path: path, ring: ring, file: list, came: map[string]time.Time{}, gone: map[string]time.Time{}}, nil
}

// reload brings the ring nearer to the file. After an error the keys stay.
func (k *keys) reload(now time.Time) error {
	list, err := readKeys(k.path)
	if err == nil {
		k.file = list
	}
	return errors.Join(err, k.settle(now))
}

// settle accepts new keys at once, makes the file's first key the primary one
// when the other nodes have had time to read it, and drops what is gone from the
// file when nobody can use it any more.
func (k *keys) settle(now time.Time) error {
	var errs []error
	for _, key := range k.file {
		if !contains(k.ring.GetKeys(), key) {
			k.came[string(key)] = now
			errs = append(errs, k.ring.AddKey(key))
		}
		delete(k.gone, string(key))
	}
	if first := k.file[0]; now.Sub(k.came[string(first)]) >= keyUseAfter {
		errs = append(errs, k.ring.UseKey(first))
	}
	var drop [][]byte
	for i, key := range k.ring.GetKeys() {
		if contains(k.file, key) {
			continue
		}
		if _, ok := k.gone[string(key)]; !ok {
			k.gone[string(key)] = now
		}
		if i > 0 && now.Sub(k.gone[string(key)]) >= keyDropAfter {
			drop = append(drop, key)
		}
	}
	return errors.Join(append(errs, k.drop(drop))...)
}

// drop removes keys. memberlist's RemoveKey writes into the list that its
// receiving side may be reading, unless the key is the last one: so the others
// are moved to the front first, the primary one at the end.
func (k *keys) drop(list [][]byte) error {
	if len(list) == 0 {
		return nil
	}
	var errs []error
	for _, key := range slices.Backward(k.ring.GetKeys()) {
		if !contains(list, key) {
			errs = append(errs, k.ring.UseKey(key))
		}
	}
	for _, key := range slices.Backward(k.ring.GetKeys()) {
		if contains(list, key) {
			errs = append(errs, k.ring.RemoveKey(key))
			delete(k.came, string(key))
			delete(k.gone, string(key))
		}
	}
	return errors.Join(errs...)
}

func contains(list [][]byte, key []byte) bool {
	return slices.ContainsFunc(list, func(k []byte) bool { return bytes.Equal(k, key) })
}

func readKeys(path string) ([][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("gossip: keys: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("gossip: keys: %w", err)
	}
	list, err := parseKeys(b)
	if err != nil {
		return nil, fmt.Errorf("gossip: the key file %s %w", path, err)
	}
	return list, nil
}

// parseKeys reads base64 keys of 32 bytes, one a line. Empty lines and those
// that begin with # are comments. It never repeats a key in an error.
func parseKeys(b []byte) (list [][]byte, err error) {
	if len(b) > maxKeyFile {
		return nil, fmt.Errorf("is larger than %d bytes", maxKeyFile)
	}
	number := 0
	for line := range strings.Lines(string(b)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(key) != keyBytes {
			return nil, fmt.Errorf("has no base64 key of %d bytes in line %d", keyBytes, number)
		}
		if !contains(list, key) {
			list = append(list, key)
		}
	}
	switch {
	case len(list) == 0:
		return nil, errors.New("has no key: put one base64 key of 32 bytes on a line, the one to use first")
	case len(list) > maxKeys:
		return nil, fmt.Errorf("has more than %d keys", maxKeys)
	}
	return list, nil
}
