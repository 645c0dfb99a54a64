package topology

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rollcall/presence"
)

func TestSetIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		added := rapid.SliceOf(rapid.Uint16Max(presence.Shards-1)).Draw(t, "added")
		var s Set
		model := map[uint16]bool{}
		for _, shard := range added {
			s.Add(shard)
			model[shard] = true
		}
		other := s
		for _, shard := range rapid.SliceOf(rapid.Uint16Max(presence.Shards-1)).Draw(t, "removed") {
			other.Remove(shard)
			if other.Has(shard) {
				t.Fatalf("Has(%d) after Remove", shard)
			}
		}
		if other.Join(&s); other != s {
			t.Fatal("a part joined with the whole is not the whole")
		}
		for shard := range uint16(presence.Shards) {
			if s.Has(shard) != model[shard] {
				t.Fatalf("Has(%d) is %v", shard, s.Has(shard))
			}
		}
		all := slices.Collect(s.All())
		slices.Sort(added)
		if s.Len() != len(model) || !slices.Equal(all, slices.Compact(added)) {
			t.Fatalf("Len is %d, All %v, want %v", s.Len(), all, added)
		}
		if back, err := ParseSet(s.Bytes()); err != nil || back != s {
			t.Fatalf("read back %v, %v", slices.Collect(back.All()), err)
		}
	})
}

func TestSetAsBytes(t *testing.T) {
	var s Set
	s.Add(0)
	s.Add(11)
	s.Add(presence.Shards - 1)
	b := s.Bytes()
	if len(b) != 512 || b[0] != 1 || b[1] != 1<<3 || b[511] != 1<<7 {
		t.Errorf("shards 0, 11 and 4095 as %d bytes: %x", len(b), b)
	}
	for shard := range s.All() {
		if shard == 11 {
			break
		}
		if shard > 11 {
			t.Error("All goes on after the loop was left")
		}
	}
}

func FuzzParseSet(f *testing.F) {
	for _, n := range []int{0, 1, setBytes - 1, setBytes, setBytes + 1} {
		f.Add(bytes.Repeat([]byte{0xa5}, n))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSet(b)
		if len(b) != setBytes {
			if !errors.Is(err, ErrSet) || s != (Set{}) {
				t.Fatalf("%d bytes: %v", len(b), err)
			}
			return
		}
		if err != nil || !bytes.Equal(s.Bytes(), b) || len(slices.Collect(s.All())) != s.Len() {
			t.Fatalf("%x became %x, %v", b, s.Bytes(), err)
		}
	})
}
