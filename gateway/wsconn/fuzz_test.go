package wsconn

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// journal writes down what the decoder finds. As the connection does, it stops
// at a close frame.
type journal struct {
	entries []string
	invalid bool
}

func (j *journal) message(op Op, payload []byte) error {
	j.entries = append(j.entries, fmt.Sprintf("%d:%q", op, payload))
	j.invalid = j.invalid || op == Text && !utf8.Valid(payload)
	return nil
}

func (j *journal) control(op ws.OpCode, payload []byte) error {
	j.entries = append(j.entries, fmt.Sprintf("control %d:%q", op, payload))
	if op == ws.OpClose {
		return closeOf(payload)
	}
	return nil
}

const (
	fuzzMessage   = 1 << 10
	fuzzFragments = 4
)

// feedAll feeds data in chunks of size and checks what is held between them.
func feedAll(t *testing.T, data []byte, size int) ([]string, error) {
	t.Helper()
	d := decoder{maxMessage: fuzzMessage, maxFragments: fuzzFragments}
	var j journal
	for chunk := range slices.Chunk(bytes.Clone(data), size) {
		if _, err := d.feed(chunk, &j); err != nil {
			var ce *CloseError
			if !errors.As(err, &ce) || !ce.ByPeer && !sendable(ce.Code) || len(ce.Reason) > maxReason {
				t.Fatalf("ended by %#v, which no close frame can say", err)
			}
			return j.entries, err
		}
		if len(d.tail) > fuzzMessage+14 {
			t.Fatalf("%d bytes held for a frame of at most %d", len(d.tail), fuzzMessage+14)
		}
		if held := cap(d.tail); held > 4*(fuzzMessage+14)+2*size {
			t.Fatalf("%d bytes allocated for an incomplete frame", held)
		}
		if d.part != nil && (len(d.part.payload) > fuzzMessage || d.part.fragments > fuzzFragments) {
			t.Fatalf("%d bytes in %d fragments held", len(d.part.payload), d.part.fragments)
		}
	}
	if j.invalid {
		t.Fatal("text that is not UTF-8 was handed over")
	}
	return j.entries, nil
}

// Arbitrary bytes neither crash the decoder nor make it hold more than its
// limits, and how they are cut into reads changes nothing.
func FuzzFrames(f *testing.F) {
	f.Add(slices.Concat(masked(0x81, "hello"), masked(0x89, "p"), closeFrame(1000, "bye")), 3)
	f.Add(slices.Concat(masked(0x01, "\xe2\x82"), masked(0x80, "\xac")), 1)
	f.Add([]byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4}, 2)
	f.Add([]byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 10)
	f.Add(masked(0x82, strings.Repeat("x", fuzzMessage)), 100)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 5)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		if size < 1 || size > 1<<15 {
			size = 1
		}
		whole, wholeErr := feedAll(t, data, len(data)+1)
		parts, partsErr := feedAll(t, data, size)
		if !slices.Equal(whole, parts) || fmt.Sprint(wholeErr) != fmt.Sprint(partsErr) {
			t.Fatalf("in one read: %q, %v\nin reads of %d: %q, %v", whole, wholeErr, size, parts, partsErr)
		}
	})
}

// What a client frames is what the callback gets, whatever the payload and
// however it is fragmented.
func FuzzPayload(f *testing.F) {
	f.Add([]byte("hello"), 2, uint32(0x12345678))
	f.Add(bytes.Repeat([]byte{0xff}, 300), 100, uint32(0))
	f.Fuzz(func(t *testing.T, payload []byte, cut int, mask uint32) {
		if len(payload) > fuzzMessage {
			payload = payload[:fuzzMessage]
		}
		if cut < 0 || cut > len(payload) {
			cut = 0
		}
		var stream []byte
		key := [4]byte{byte(mask), byte(mask >> 8), byte(mask >> 16), byte(mask >> 24)}
		for i, part := range [][]byte{payload[:cut], payload[cut:]} {
			h := ws.Header{Fin: i == 1, OpCode: ws.OpBinary, Masked: true, Mask: key, Length: int64(len(part))}
			if i == 1 {
				h.OpCode = ws.OpContinuation
			}
			var b bytes.Buffer
			if err := ws.WriteHeader(&b, h); err != nil {
				t.Fatal(err)
			}
			for k, v := range part {
				b.WriteByte(v ^ key[k%4])
			}
			stream = append(stream, b.Bytes()...)
		}
		got, err := feedAll(t, stream, len(stream))
		if want := fmt.Sprintf("%d:%q", Binary, payload); err != nil || len(got) != 1 || got[0] != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	})
}
