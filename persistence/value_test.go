package persistence

import (
	"bytes"
	"errors"
	"testing"

	"rollcall/messages"
	"rollcall/presence"
)

func TestSealedValueOpensOnlyUnderItsKeyAndUnchanged(t *testing.T) {
	key, payload := []byte("key"), []byte("payload")
	value, err := box(payload)
	if err != nil {
		t.Fatal(err)
	}
	seal(key, value)
	if got, err := unseal(key, value); err != nil || !bytes.Equal(got, payload) {
		t.Fatalf("came back as %q, %v", got, err)
	}
	if _, err := unseal([]byte("kez"), value); !errors.Is(err, ErrCorrupt) {
		t.Errorf("under another key: %v", err)
	}
	for bit := range len(value) * 8 {
		bad := bytes.Clone(value)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := unseal(key, bad); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("with bit %d flipped: %v", bit, err)
		}
	}
	for n := range sumSize {
		if _, err := unseal(key, value[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := box(make([]byte, maxValue)); !errors.Is(err, ErrTooBig) {
		t.Errorf("a value beyond the limit: %v", err)
	}
}

// Whatever lies in the store, decoding it ends in a value or an error.
func FuzzStoredValue(f *testing.F) {
	e, state := session(5, presence.Busy)
	var r presence.Record
	r.Merge(e)
	stored, err := messages.EncodeStored(&messages.StoredUser{Record: r, State: state, Version: 5, Wake: noon})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stored)
	f.Add([]byte{})
	f.Add([]byte{0x0a, 0xff})
	f.Fuzz(func(t *testing.T, payload []byte) {
		if u, err := messages.DecodeStored(payload); err == nil {
			if _, err := messages.EncodeStored(u); err != nil {
				t.Errorf("decoded, but does not encode: %v", err)
			}
		}
		for _, k := range userKinds {
			if _, err := skim(k, 1, payload, noon); err != nil && !errors.Is(err, ErrCorrupt) {
				t.Errorf("skim: %v", err)
			}
		}
		if _, err := element(payload); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("element: %v", err)
		}
	})
}

// A log of any content is walked to an end inside it.
func FuzzLog(f *testing.F) {
	f.Add(make([]byte, 40), 0)
	f.Add(append(make([]byte, logHeader), 0x40, 0, 9, 1, 0, 'k', 0, 0, 0, 0, 0, 0, 0, 1, 'v'), 3)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if len(b) < logHeader {
			return
		}
		end, at, version := walkLog(b, func(logRecord) {})
		if end > at || at > len(b) || end < logHeader {
			t.Fatalf("ends at %d, %d of %d", end, at, len(b))
		}
		if ends, first := laterEnds(b, at); ends > 0 && (first < at || first >= len(b)) {
			t.Fatalf("a later end at %d", first)
		}
		flippedEnd(b[at:], version)
	})
}
