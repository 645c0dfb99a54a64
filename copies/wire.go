package copies

import (
	"fmt"
	"math/bits"

	"google.golang.org/protobuf/proto"

	"rollcall/messages"
	"rollcall/presence"
	"rollcall/replica"
)

// bitmapBytes is the length of an encoded set of shards.
const bitmapBytes = presence.Shards / 8

// toWire is a message of the machine as it crosses between nodes; nil for those
// that are sent otherwise.
func toWire(m replica.Message) proto.Message {
	switch m := m.(type) {
	case replica.Fetch:
		u := userOf(m.User)
		return &messages.Fetch{Id: m.ID, User: messages.FromUser(u)}
	case replica.Roots:
		shards, roots := toBitmap(m.Shards, m.Roots)
		return &messages.Roots{Round: m.Round, View: m.View, Table: m.Table, Shards: shards, Roots: roots}
	case replica.Differs:
		shards, roots := toBitmap(m.Shards, m.Roots)
		unknown, _ := toBitmap(m.Unknown, nil)
		return &messages.Differs{
			Round: m.Round, View: m.View, Table: m.Table, Mark: m.Mark, Shards: shards, Roots: roots, Unknown: unknown,
		}
	case replica.Surplus:
		shards, roots := toBitmap(m.Shards, m.Roots)
		return &messages.Surplus{Round: m.Round, Table: m.Table, Shards: shards, Roots: roots}
	case replica.Covered:
		shards, _ := toBitmap(m.Shards, nil)
		return &messages.Covered{Round: m.Round, Table: m.Table, Shards: shards}
	case replica.Behind:
		shards, _ := toBitmap(m.Shards, nil)
		return &messages.Behind{Shards: shards}
	}
	return nil
}

// fromWire reads the messages that need nothing of this node.
func fromWire(m proto.Message) (replica.Message, error) {
	switch m := m.(type) {
	case *messages.Fetch:
		u, err := user(m.User)
		return replica.Fetch{ID: m.Id, Shard: u.Shard(), User: nameUser(u)}, err
	case *messages.Roots:
		shards, err := fromBitmap(m.Shards, m.Roots)
		return replica.Roots{Round: m.Round, View: m.View, Table: m.Table, Shards: shards, Roots: m.Roots}, err
	case *messages.Differs:
		shards, err := fromBitmap(m.Shards, m.Roots)
		if err != nil {
			return nil, err
		}
		unknown, err := fromSet(m.Unknown)
		return replica.Differs{
			Round: m.Round, View: m.View, Table: m.Table, Mark: m.Mark, Shards: shards, Roots: m.Roots, Unknown: unknown,
		}, err
	case *messages.Surplus:
		shards, err := fromBitmap(m.Shards, m.Roots)
		return replica.Surplus{Round: m.Round, Table: m.Table, Shards: shards, Roots: m.Roots}, err
	case *messages.Covered:
		shards, err := fromSet(m.Shards)
		return replica.Covered{Round: m.Round, Table: m.Table, Shards: shards}, err
	case *messages.Behind:
		shards, err := fromSet(m.Shards)
		return replica.Behind{Shards: shards}, err
	}
	return nil, nil
}

// toBitmap brings shards, and the roots beside them, into the order of shards.
func toBitmap(shards []uint16, roots []uint64) ([]byte, []uint64) {
	if len(shards) == 0 {
		return nil, nil
	}
	b := make([]byte, bitmapBytes)
	var at [presence.Shards]uint64
	for i, s := range shards {
		b[s/8] |= 1 << (s % 8)
		if roots != nil {
			at[s] = roots[i]
		}
	}
	if roots == nil {
		return b, nil
	}
	sorted := make([]uint64, 0, len(shards))
	for s := range at {
		if b[s/8]&(1<<(s%8)) != 0 {
			sorted = append(sorted, at[s])
		}
	}
	return b, sorted
}

// fromSet lists the shards of a bitmap by rising number.
func fromSet(b []byte) ([]uint16, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if len(b) != bitmapBytes {
		return nil, fmt.Errorf("%w: a set of shards of %d bytes", errRubbish, len(b))
	}
	n := 0
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	shards := make([]uint16, 0, n)
	for i, x := range b {
		for ; x != 0; x &= x - 1 {
			shards = append(shards, uint16(i*8+bits.TrailingZeros8(x)))
		}
	}
	return shards, nil
}

func fromBitmap(b []byte, roots []uint64) ([]uint16, error) {
	shards, err := fromSet(b)
	if err == nil && len(shards) != len(roots) {
		err = fmt.Errorf("%w: %d digests of %d shards", errRubbish, len(roots), len(shards))
	}
	return shards, err
}
