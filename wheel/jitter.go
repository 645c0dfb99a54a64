package wheel

import (
	"math"
	"time"
)

// Jitter moves d by up to 20 % either way, evenly, so that what began together
// does not stay together. The same seed gives the same answer; neighbouring
// seeds give unrelated ones. A d of zero or less is returned as it is.
func Jitter(d time.Duration, seed uint64) time.Duration {
	fifth := d / 5
	if fifth <= 0 {
		return d
	}
	moved := d - fifth + time.Duration(mix(seed)%uint64(2*fifth+1))
	if moved < 0 {
		return math.MaxInt64
	}
	return moved
}

// mix is the output step of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
