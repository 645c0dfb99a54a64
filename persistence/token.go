package persistence

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"rollcall/presence"
)

const (
	tokenVersion = 2
	tokenHead    = 1 + tenantSize + 8 + 8
	tokenSize    = tokenHead + 4 // without marks
	maxToken     = tokenSize + maxMarks*markSize
)

// Token is a position in one tenant's feed: just after some entry of one node's
// log, with what is known to lie before it in the logs of other nodes. The zero
// Token stands before the first change ever. Clients keep its text and do not
// look inside.
type Token struct {
	tenant presence.TenantID
	node   uint64 // that gave it
	seq    uint64 // position in its log
	marks  string // packed nodeMarks by rising node, without the giver's
}

// seen gives the position up to which the reader knows the log of a node.
func (t Token) seen(node uint64) (uint64, bool) {
	for i := 0; i < len(t.marks); i += markSize {
		if m := markAt(t.marks, i); m.node == node {
			return m.seen, true
		}
	}
	return 0, false
}

// String is what ParseToken reads; empty for the zero Token.
func (t Token) String() string {
	if t == (Token{}) {
		return ""
	}
	b := make([]byte, 0, tokenSize+len(t.marks))
	b = append(b, tokenVersion)
	b = append(b, t.tenant[:]...)
	b = binary.BigEndian.AppendUint64(b, t.node)
	b = binary.BigEndian.AppendUint64(b, t.seq)
	b = append(b, t.marks...)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseToken reads exactly what String writes; all else is ErrToken. The empty
// text is the zero Token.
func ParseToken(s string) (Token, error) {
	if s == "" {
		return Token{}, nil
	}
	if len(s) > base64.RawURLEncoding.EncodedLen(maxToken) {
		return Token{}, fmt.Errorf("%w: it has %d characters", ErrToken, len(s))
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	if len(b) < tokenSize || (len(b)-tokenSize)%markSize != 0 {
		return Token{}, fmt.Errorf("%w: it has %d bytes", ErrToken, len(b))
	}
	if b[0] != tokenVersion {
		return Token{}, fmt.Errorf("%w: version %d", ErrToken, b[0])
	}
	body := b[:len(b)-4]
	if binary.BigEndian.Uint32(b[len(body):]) != crc32.Checksum(body, castagnoli) {
		return Token{}, fmt.Errorf("%w: checksum", ErrToken)
	}
	t := Token{tenant: presence.TenantID(body[1 : 1+tenantSize]), marks: string(body[tokenHead:])}
	t.node = binary.BigEndian.Uint64(body[1+tenantSize:])
	t.seq = binary.BigEndian.Uint64(body[1+tenantSize+8:])
	if t.node == 0 || !t.ordered() {
		return Token{}, fmt.Errorf("%w: its nodes", ErrToken)
	}
	return t, nil
}

// ordered tells whether the marks are as packMarks makes them.
func (t Token) ordered() bool {
	var before uint64
	for i := 0; i < len(t.marks); i += markSize {
		m := markAt(t.marks, i)
		if m.node <= before || m.node == t.node || m.seen == noPosition {
			return false
		}
		before = m.node
	}
	return true
}
