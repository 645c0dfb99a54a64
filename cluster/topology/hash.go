package topology

// These hashes are part of the protocol between nodes: if one of them changes,
// nodes with the old and the new one assign shards differently.

// digest is a 64-bit FNV-1a hash in the making.
type digest uint64

const emptyDigest digest = 0xcbf29ce484222325

func (d digest) byte(b byte) digest { return (d ^ digest(b)) * 0x100000001b3 }

func (d digest) number(n uint64) digest {
	for range 8 {
		d = d.byte(byte(n))
		n >>= 8
	}
	return d
}

// text adds the length as well, so that neighbouring fields cannot be taken for
// one another.
func (d digest) text(s string) digest {
	d = d.number(uint64(len(s)))
	for i := range len(s) {
		d = d.byte(s[i])
	}
	return d
}

// hash covers every field of every member. A field that a later version adds
// must leave the hash as it is while it has its zero value.
func hash(members []Member) uint64 {
	d := emptyDigest
	for i := range members {
		m := &members[i]
		d = d.text(m.ID).number(m.Incarnation).text(m.Addr).text(m.Zone)
		d = d.number(uint64(m.Roles)).number(leaving(m)).number(uint64(m.Protocol)).text(m.URL)
	}
	return mix(uint64(d))
}

func leaving(m *Member) uint64 {
	if m.Leaving {
		return 1
	}
	return 0
}

// mix is the finaliser of MurmurHash3 (64 bit): FNV alone leaves names that
// differ in the last character close to each other.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return x
}
