package persistence

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"rollcall/presence"
)

const (
	tokenVersion = 1
	tokenSize    = 1 + tenantSize + 8 + 8 + 4
)

// Token is a position in one tenant's feed on one node: just after the entry
// with that sequence number. The zero Token stands before the first change
// ever. Clients keep its text and do not look inside.
type Token struct {
	tenant presence.TenantID
	origin uint64
	seq    uint64
}

// String is what ParseToken reads; empty for the zero Token.
func (t Token) String() string {
	if t == (Token{}) {
		return ""
	}
	b := make([]byte, 0, tokenSize)
	b = append(b, tokenVersion)
	b = append(b, t.tenant[:]...)
	b = binary.BigEndian.AppendUint64(b, t.origin)
	b = binary.BigEndian.AppendUint64(b, t.seq)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseToken reads exactly what String writes; all else is ErrToken. The empty
// text is the zero Token.
func ParseToken(s string) (Token, error) {
	if s == "" {
		return Token{}, nil
	}
	if len(s) != base64.RawURLEncoding.EncodedLen(tokenSize) {
		return Token{}, fmt.Errorf("%w: it has %d characters", ErrToken, len(s))
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	if b[0] != tokenVersion {
		return Token{}, fmt.Errorf("%w: version %d", ErrToken, b[0])
	}
	body := b[:tokenSize-4]
	if binary.BigEndian.Uint32(b[tokenSize-4:]) != crc32.Checksum(body, castagnoli) {
		return Token{}, fmt.Errorf("%w: checksum", ErrToken)
	}
	t := Token{tenant: presence.TenantID(body[1 : 1+tenantSize])}
	t.origin = binary.BigEndian.Uint64(body[1+tenantSize:])
	t.seq = binary.BigEndian.Uint64(body[1+tenantSize+8:])
	if t == (Token{}) {
		return t, fmt.Errorf("%w: it is empty", ErrToken)
	}
	return t, nil
}
