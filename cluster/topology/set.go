package topology

import (
	"encoding/binary"
	"errors"
	"iter"
	"math/bits"

	"rollcall/presence"
)

// Set is a set of shards, empty at first. Shards are below presence.Shards: Add
// and Has panic for others.
type Set [presence.Shards / 64]uint64

// ErrSet is returned for bytes that are no set of shards.
var ErrSet = errors.New("topology: not a set of shards")

// setBytes is the length of an encoded set.
const setBytes = presence.Shards / 8

// Add puts a shard into the set.
func (s *Set) Add(shard uint16) { s[shard/64] |= 1 << (shard % 64) }

// Has says whether a shard is in the set.
func (s *Set) Has(shard uint16) bool { return s[shard/64]&(1<<(shard%64)) != 0 }

// Remove takes a shard out of the set.
func (s *Set) Remove(shard uint16) { s[shard/64] &^= 1 << (shard % 64) }

// Join adds all shards of another set.
func (s *Set) Join(other *Set) {
	for i := range s {
		s[i] |= other[i]
	}
}

// Len is the number of shards in the set.
func (s *Set) Len() (n int) {
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// All yields the shards in rising order.
func (s *Set) All() iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		for i, w := range s {
			for ; w != 0; w &= w - 1 {
				if !yield(uint16(i*64 + bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}

// Bytes is the set as a bitmap of 512 bytes, little endian.
func (s *Set) Bytes() []byte {
	b := make([]byte, 0, setBytes)
	for _, w := range s {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

// ParseSet reads what Bytes wrote. It returns ErrSet for anything of another
// length.
func ParseSet(b []byte) (s Set, err error) {
	if len(b) != setBytes {
		return s, ErrSet
	}
	for i := range s {
		s[i] = binary.LittleEndian.Uint64(b[i*8:])
	}
	return s, nil
}
