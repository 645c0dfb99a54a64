package wsconn

import (
	"math/bits"
	"sync"
)

// Buffers come in a few sizes, so that a connection with one small frame to
// send does not hold what a backlog needs, and the pools stay useful to all.
var (
	bufferSizes = [...]int{1 << 10, 4 << 10, 16 << 10, 64 << 10, 256<<10 + 4<<10}
	bufferPools [len(bufferSizes)]sync.Pool
)

// readSize is the buffer for one read: large enough that a message at the
// default limit seldom needs more than two.
const readSize = 16 << 10

// getBuffer returns an empty buffer with room for at least n bytes.
func getBuffer(n int) *[]byte {
	for i, size := range bufferSizes {
		if n > size {
			continue
		}
		if b, ok := bufferPools[i].Get().(*[]byte); ok {
			return b
		}
		b := make([]byte, 0, size)
		return &b
	}
	b := make([]byte, 0, 1<<bits.Len(uint(n-1))) // doubling: growth costs no more than what is queued
	return &b
}

// putBuffer takes back a buffer nobody uses any more. Odd sizes are left to
// the garbage collector.
func putBuffer(b *[]byte) {
	for i, size := range bufferSizes {
		if cap(*b) == size {
			*b = (*b)[:0]
			bufferPools[i].Put(b)
			return
		}
	}
}
