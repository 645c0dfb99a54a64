package wsconn

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Op is the kind of a data message; its values are the opcodes of RFC 6455.
type Op byte

// Text messages handed to a callback are valid UTF-8; Binary ones are as sent.
const (
	Text   Op = Op(ws.OpText)
	Binary Op = Op(ws.OpBinary)
)

// sink takes what the decoder finds. Payloads are only valid during the call.
type sink interface {
	message(op Op, payload []byte) error
	control(op ws.OpCode, payload []byte) error
}

// decoder turns the bytes of one client into messages. It does no I/O. It
// never holds more than one incomplete frame and one incomplete message, both
// within maxMessage, and only bytes that really arrived.
type decoder struct {
	maxMessage   int32
	maxFragments int32
	tail         []byte   // start of an incomplete frame; nil between frames
	part         *partial // message begun but not finished; nil between messages
}

type partial struct {
	op        ws.OpCode
	fragments int32
	payload   []byte
}

// feed consumes chunk, which it unmasks in place, and returns the number of
// whole frames in it. The first error ends the stream: the caller must not
// feed again.
func (d *decoder) feed(chunk []byte, to sink) (frames int, err error) {
	b := chunk
	joined := len(d.tail) > 0
	if joined {
		d.tail = append(d.tail, chunk...)
		b = d.tail
	}
	used := 0
	for {
		n, err := d.frame(b[used:], to)
		if err != nil {
			d.tail, d.part = nil, nil
			return frames, err
		}
		if n == 0 {
			break
		}
		used += n
		frames++
	}
	switch {
	case used == len(b):
		d.tail = nil
	case !joined || used > 0:
		d.tail = append([]byte(nil), b[used:]...)
	}
	return frames, nil
}

// frame handles the frame at the start of b and returns its size, or 0 when it
// is not complete yet.
func (d *decoder) frame(b []byte, to sink) (int, error) {
	h, head, err := d.header(b)
	if err != nil || head == 0 {
		return 0, err
	}
	size := head + len(h.Mask) + int(h.Length)
	if len(b) < size {
		return 0, nil
	}
	copy(h.Mask[:], b[head:])
	payload := b[head+len(h.Mask) : size]
	ws.Cipher(payload, h.Mask, 0)
	if h.OpCode.IsControl() {
		return size, to.control(h.OpCode, payload)
	}
	return size, d.data(h, payload, to)
}

// header reads the header without the mask and refuses what the protocol or
// the limits forbid as soon as the bytes that show it are there. A size of 0
// asks for more bytes.
func (d *decoder) header(b []byte) (h ws.Header, size int, err error) {
	if len(b) < 2 {
		return h, 0, nil
	}
	h = ws.Header{
		Fin:    b[0]&0x80 != 0,
		Rsv:    b[0] >> 4 & 7,
		OpCode: ws.OpCode(b[0] & 15),
		Masked: b[1]&0x80 != 0,
		Length: int64(b[1] & 127),
	}
	state := ws.StateServerSide
	if d.part != nil {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return h, 0, violation(CodeProtocolError, err.Error())
	}
	if h.Length, size, err = length(b); err != nil || size == 0 {
		return h, 0, err
	}
	return h, size, d.checkLimits(h)
}

// length reads the payload length and the size of the header that holds it.
func length(b []byte) (n int64, size int, err error) {
	switch short := b[1] & 127; {
	case short < 126:
		return int64(short), 2, nil
	case short == 126 && len(b) >= 4:
		return int64(binary.BigEndian.Uint16(b[2:])), 4, nil
	case short == 127 && len(b) >= 10:
		n := binary.BigEndian.Uint64(b[2:])
		if n>>63 != 0 {
			return 0, 0, violation(CodeProtocolError, "frame length has its top bit set")
		}
		return int64(n), 10, nil
	}
	return 0, 0, nil
}

func (d *decoder) checkLimits(h ws.Header) error {
	if h.OpCode.IsControl() {
		return nil
	}
	room, fragments := int64(d.maxMessage), int32(1)
	if d.part != nil {
		room -= int64(len(d.part.payload))
		fragments += d.part.fragments
	}
	if h.Length > room {
		return violation(CodeTooBig, "message is too big")
	}
	if fragments > d.maxFragments {
		return violation(CodeTooBig, "message has too many fragments")
	}
	return nil
}

func (d *decoder) data(h ws.Header, payload []byte, to sink) error {
	op := h.OpCode
	if !h.Fin || d.part != nil {
		if d.part == nil {
			d.part = &partial{op: op}
		}
		d.part.fragments++
		d.part.payload = append(d.part.payload, payload...)
		if !h.Fin {
			return nil
		}
		op, payload = d.part.op, d.part.payload
		d.part = nil
	}
	if op == ws.OpText && !utf8.Valid(payload) {
		return violation(CodeInvalidData, "text is not valid UTF-8")
	}
	return to.message(Op(op), payload)
}

// closeOf reads the body of a peer's close frame.
func closeOf(body []byte) *CloseError {
	switch {
	case len(body) == 0:
		return &CloseError{Code: CodeNoStatus, ByPeer: true}
	case len(body) == 1:
		return violation(CodeProtocolError, "close frame with one byte")
	}
	code, reason := binary.BigEndian.Uint16(body), body[2:]
	if !sendable(code) {
		return violation(CodeProtocolError, "close code must not be sent")
	}
	if !utf8.Valid(reason) {
		return violation(CodeInvalidData, "close reason is not valid UTF-8")
	}
	return &CloseError{Code: code, Reason: string(reason), ByPeer: true}
}

// appendFrame appends an unmasked, unfragmented server frame.
func appendFrame(b []byte, op ws.OpCode, payload []byte) []byte {
	b = append(b, 0x80|byte(op))
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

// maxHeader is the size of the largest header a server sends.
const maxHeader = 10
