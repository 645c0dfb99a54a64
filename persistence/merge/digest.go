package merge

import "rollcall/presence"

const (
	versionKey = "version"
	feedSalt   = 0x9e3779b97f4a7c15
)

// Term is the term of one element of the user with this UserID.Hash.
func Term[K presence.Key | []byte](user uint64, key K, stamp presence.Stamp) uint64 {
	return mix(mix(fold(user, key)^uint64(stamp.Version)) ^ stamp.Node)
}

// Version is the term of a user's state; 0 where there is none.
func Version(user uint64, v presence.Version) uint64 {
	if v == 0 {
		return 0
	}
	return mix(fold(user, presence.Key(versionKey)) ^ uint64(v))
}

// Feed is the term of the newest feed entry that one origin has in a shard; 0
// where there is none.
func Feed(origin, seq uint64) uint64 {
	if seq == 0 {
		return 0
	}
	return mix(mix(origin^feedSalt) ^ seq)
}

// fold is FNV-1a over the key, begun with h.
func fold[K presence.Key | []byte](h uint64, key K) uint64 {
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	return h
}

// mix is the 64-bit finaliser of MurmurHash3.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
