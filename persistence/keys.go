package persistence

import (
	"bytes"
	"encoding/binary"

	"rollcall/presence"
)

// kind is the first byte of every key. The values are part of the format.
type kind byte

const (
	kindPresence kind = 'p' // [shard][tenant][mri]
	kindWatch    kind = 'w' // [shard][tenant][mri] 0 [endpoint]
	kindBlock    kind = 'b' // [shard][tenant][mri] 0 [element key]
	kindPolicy   kind = 't' // [tenant]
	kindFeed     kind = 'f' // [tenant][origin][sequence]
	kindMeta     kind = 'm' // "identity" | 'f' [tenant][origin]
)

const (
	tenantSize  = 16
	userKeyHead = 1 + 2 + tenantSize
	feedKeySize = 1 + tenantSize + 8 + 8

	maxElementKey = 256 // bytes of an element's key
)

// userKey builds every key that belongs to a user: the shard first, so that a
// shard's users are one range, then the tenant in its fixed 16 bytes, so that
// no identifier can reach into another tenant. MRIs hold no zero byte, hence
// a user's range ends where the next MRI begins.
func userKey(k kind, u presence.UserID, part string) []byte {
	key := make([]byte, 0, userKeyHead+len(u.MRI)+1+len(part))
	key = append(key, byte(k))
	key = binary.BigEndian.AppendUint16(key, u.Shard())
	key = append(key, u.Tenant[:]...)
	key = append(key, u.MRI...)
	if k == kindPresence {
		return key
	}
	key = append(key, 0)
	return append(key, part...)
}

// userOf reads the user out of a presence key.
func userOf(key []byte) (presence.UserID, bool) {
	if len(key) <= userKeyHead || kind(key[0]) != kindPresence {
		return presence.UserID{}, false
	}
	u := presence.UserID{MRI: string(key[userKeyHead:])}
	copy(u.Tenant[:], key[3:])
	return u, true
}

func policyKey(t presence.TenantID) []byte {
	return append([]byte{byte(kindPolicy)}, t[:]...)
}

func feedKey(t presence.TenantID, origin, seq uint64) []byte {
	key := make([]byte, 0, feedKeySize)
	key = append(key, byte(kindFeed))
	key = append(key, t[:]...)
	key = binary.BigEndian.AppendUint64(key, origin)
	return binary.BigEndian.AppendUint64(key, seq)
}

func feedSeq(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-8:]) }

// feedMetaKey names the ends of one tenant's feed.
func feedMetaKey(t presence.TenantID, origin uint64) []byte {
	key := append([]byte{byte(kindMeta), byte(kindFeed)}, t[:]...)
	return binary.BigEndian.AppendUint64(key, origin)
}

func identityKey() []byte { return append([]byte{byte(kindMeta)}, "identity"...) }

func shardOf(key []byte) uint16 { return binary.BigEndian.Uint16(key[1:]) }

func shardPrefix(k kind, shard uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{byte(k)}, shard)
}

// ownerIn is the part of a key of any of userKinds that is its user's alone:
// the tenant and the MRI. In byte order it is in the order of UserID.Compare.
func ownerIn(key []byte) []byte {
	owner, _, _ := bytes.Cut(key[userKeyHead:], []byte{0})
	return key[userKeyHead-tenantSize : userKeyHead+len(owner)]
}

func ownerID(owner []byte) (u presence.UserID) {
	copy(u.Tenant[:], owner)
	u.MRI = string(owner[tenantSize:])
	return u
}

func ownerHash(owner []byte) uint64 { return presence.HashUser(owner[:tenantSize], owner[tenantSize:]) }
