package socket

import (
	"google.golang.org/protobuf/encoding/protowire"

	"rollcall/messages"
)

// Field numbers of messages/wire.proto that are read and written by hand.
const (
	frameAck, frameBatch                    = 5, 5
	batchSeq, batchItems                    = 1, 2
	itemUser, itemVersion, itemAvailability = 1, 2, 3
)

// Item is one presence of a batch. Its bytes belong to the message.
type Item struct {
	User         []byte
	Version      uint64
	Availability []byte
}

// Batch is a message's batch; Items is to be read with Each.
type Batch struct {
	Seq   uint64
	Items []byte
}

// Decode tells a batch, which is not unpacked, from everything else, which is.
func Decode(message []byte) (b Batch, isBatch bool, other *messages.ServerFrame, err error) {
	if body, ok := onlyField(message, frameBatch); ok {
		err = fields(body, func(field protowire.Number, number uint64, _ []byte) {
			if field == batchSeq {
				b.Seq = number
			}
		})
		b.Items = body
		return b, true, nil, err
	}
	other = new(messages.ServerFrame)
	err = other.UnmarshalVT(message)
	return b, false, other, err
}

// Each calls with every item.
func (b Batch) Each(call func(Item)) error {
	var broken error
	err := fields(b.Items, func(field protowire.Number, _ uint64, text []byte) {
		if field != batchItems || broken != nil {
			return
		}
		var it Item
		broken = fields(text, func(field protowire.Number, number uint64, text []byte) {
			switch field {
			case itemUser:
				it.User = text
			case itemVersion:
				it.Version = number
			case itemAvailability:
				it.Availability = text
			}
		})
		if broken == nil {
			call(it)
		}
	})
	if err == nil {
		err = broken
	}
	return err
}

// onlyField is the body of a message that is one embedded field and nothing else.
func onlyField(m []byte, want protowire.Number) ([]byte, bool) {
	field, kind, n := protowire.ConsumeTag(m)
	if n < 0 || field != want || kind != protowire.BytesType {
		return nil, false
	}
	body, k := protowire.ConsumeBytes(m[n:])
	return body, k >= 0 && n+k == len(m)
}

// fields calls each for every field of a message; number is a varint or a fixed
// value, text the bytes of the others.
func fields(m []byte, each func(field protowire.Number, number uint64, text []byte)) error {
	for len(m) > 0 {
		field, kind, n := protowire.ConsumeTag(m)
		if n < 0 {
			return ErrFrame
		}
		m = m[n:]
		var number uint64
		var text []byte
		switch kind {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(m)
		case protowire.Fixed64Type:
			number, n = protowire.ConsumeFixed64(m)
		case protowire.BytesType:
			text, n = protowire.ConsumeBytes(m)
		default:
			n = protowire.ConsumeFieldValue(field, kind, m)
		}
		if n < 0 {
			return ErrFrame
		}
		m = m[n:]
		each(field, number, text)
	}
	return nil
}

// AckFrame is an acknowledgement of all batches up to seq, appended to b.
func AckFrame(b []byte, seq uint64) []byte {
	n := protowire.SizeTag(1) + protowire.SizeVarint(seq)
	b = protowire.AppendTag(b, frameAck, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(n))
	b = protowire.AppendTag(b, 1, protowire.VarintType)
	return protowire.AppendVarint(b, seq)
}
