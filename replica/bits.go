package replica

import "math/bits"

// bitset is a set of shards.
type bitset [Shards / 64]uint64

func (b *bitset) has(s uint16) bool { return b[s/64]&(1<<(s%64)) != 0 }
func (b *bitset) add(s uint16)      { b[s/64] |= 1 << (s % 64) }
func (b *bitset) remove(s uint16)   { b[s/64] &^= 1 << (s % 64) }

func (b *bitset) empty() bool { return *b == bitset{} }

func (b *bitset) count() (n int) {
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// all yields the shards in rising order. The set may change meanwhile: a word
// of 64 shards is seen as it was when the first of it was reached.
func (b *bitset) all(yield func(uint16) bool) {
	for i := range b {
		for w := b[i]; w != 0; w &= w - 1 {
			if !yield(uint16(i*64 + bits.TrailingZeros64(w))) {
				return
			}
		}
	}
}

// bitsOf is the set of those of a list that are shards.
func bitsOf(shards []uint16) (b bitset) {
	for _, s := range shards {
		if s < Shards {
			b.add(s)
		}
	}
	return b
}
