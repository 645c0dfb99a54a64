package persistence

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	// maxValue keeps a value well inside one write transaction and out of
	// Badger's value log.
	maxValue = 512 << 10

	sumSize = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal writes the checksum of key and payload into the first bytes of value,
// which the caller left free. A value moved under another key fails.
func seal(key, value []byte) []byte {
	binary.BigEndian.PutUint32(value, sum(key, value[sumSize:]))
	return value
}

// unseal returns the payload of a sealed value; it shares value's memory.
func unseal(key, value []byte) ([]byte, error) {
	if len(value) < sumSize {
		return nil, fmt.Errorf("%w: the value of key %x has %d bytes", ErrCorrupt, key, len(value))
	}
	if binary.BigEndian.Uint32(value) != sum(key, value[sumSize:]) {
		return nil, fmt.Errorf("%w: checksum of key %x", ErrCorrupt, key)
	}
	return value[sumSize:], nil
}

func sum(key, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, payload)
}

// box returns payload as a value with room for its checksum.
func box(payload []byte) ([]byte, error) {
	if len(payload) > maxValue-sumSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooBig, len(payload), maxValue-sumSize)
	}
	return append(make([]byte, sumSize, sumSize+len(payload)), payload...), nil
}
