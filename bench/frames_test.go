package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of messages/wire.proto that the load writes and reads itself:
// decoding whole messages would cost it more than the node spends on them.
const (
	fieldID, fieldHello, fieldPublish, fieldWatch, fieldAck       = 1, 2, 3, 4, 5
	fieldWelcome, fieldDone, fieldError, fieldBatch               = 2, 3, 4, 5
	helloToken, helloEndpoint, helloDevice, helloSession, helloAc = 1, 2, 3, 4, 5
	publishSource, publishAvailability, publishActivity           = 1, 4, 5
	publishNote, noteContent                                      = 7, 1
	welcomeSession, welcomeResumed                                = 2, 4
	batchSeq, batchItems                                          = 1, 2
	itemUser, itemVersion                                         = 1, 2
)

const finalBinary, finalPing, finalPong, finalClose = 0x82, 0x89, 0x8a, 0x88

var errBroken = errors.New("bench: the server's bytes are no frame")

// appendFrame masks payload into a client's frame.
func appendFrame(b []byte, opcode byte, payload []byte) []byte {
	b = append(b, opcode)
	if n := len(payload); n < 126 {
		b = append(b, 0x80|byte(n))
	} else {
		b = append(b, 0x80|126)
		b = binary.BigEndian.AppendUint16(b, uint16(n)) // at most 16 KiB are sent
	}
	var key [4]byte
	binary.NativeEndian.PutUint32(key[:], rand.Uint32())
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i&3])
	}
	return b
}

// cutFrame gives the first whole frame of b and what is behind it; ok is false
// while it is not complete.
func cutFrame(b []byte) (opcode byte, payload, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, b, false
	}
	head, n := 2, int(b[1]&0x7f)
	switch {
	case n == 126 && len(b) >= 4:
		head, n = 4, int(binary.BigEndian.Uint16(b[2:]))
	case n == 127 && len(b) >= 10:
		head, n = 10, int(binary.BigEndian.Uint64(b[2:]))
	case n >= 126:
		return 0, nil, b, false
	}
	if len(b) < head+n {
		return 0, nil, b, false
	}
	return b[0], b[head : head+n], b[head+n:], true
}

// fields calls each for every field of a message; number is a varint or a fixed
// value, text the bytes of the others.
func fields(m []byte, each func(field protowire.Number, number uint64, text []byte)) error {
	for len(m) > 0 {
		field, kind, n := protowire.ConsumeTag(m)
		if n < 0 {
			return errBroken
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
			return errBroken
		}
		if n < 0 {
			return errBroken
		}
		m = m[n:]
		each(field, number, text)
	}
	return nil
}

// userNumber is the n of userMRI(n).
func userNumber(mri []byte) (int, error) {
	if len(mri) < 12 {
		return 0, errBroken
	}
	n, err := strconv.ParseUint(string(mri[len(mri)-12:]), 16, 48)
	if err != nil {
		return 0, fmt.Errorf("user %q: %w", mri, err)
	}
	return int(n), nil
}

func appendText(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func appendNumber(b []byte, field protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
}

// appendPart appends a message as a field.
func appendPart(b []byte, field protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), message)
}

// greeting is what a client says hello with.
type greeting struct {
	token, endpoint, session string
	ack                      uint64
}

func (g greeting) frame() []byte {
	m := appendText(nil, helloToken, g.token)
	m = appendText(m, helloEndpoint, g.endpoint)
	m = appendText(m, helloDevice, "Desktop")
	if g.session != "" {
		m = appendNumber(appendText(m, helloSession, g.session), helloAc, g.ack)
	}
	return appendPart(nil, fieldHello, m)
}

func watchFrame(id uint64, users []int) []byte {
	var m []byte
	for _, n := range users {
		m = appendText(m, 1, userMRI(n))
	}
	return appendNumber(appendPart(nil, fieldWatch, m), fieldID, id)
}

// clientStates are published by turns: every publish is a visible change.
var clientStates = [2][]byte{clientState("Available"), clientState("Busy")}

func clientState(name string) []byte {
	m := appendText(nil, publishSource, "client")
	return appendText(appendText(m, publishAvailability, name), publishActivity, name)
}

func noteState(content string) []byte {
	m := appendText(nil, publishSource, "note")
	return appendPart(m, publishNote, appendText(nil, noteContent, content))
}

func publishFrame(id uint64, state []byte) []byte {
	return appendNumber(appendPart(nil, fieldPublish, state), fieldID, id)
}

func ackFrame(seq uint64) []byte {
	return appendPart(nil, fieldAck, appendNumber(nil, 1, seq))
}
