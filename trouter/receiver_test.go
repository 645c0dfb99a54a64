package trouter_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"rollcall/trouter"
)

// TestReceiverAgainstASet feeds any numbers at all and compares with a plain set
// of those that arrived.
func TestReceiverAgainstASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r trouter.Receiver
		arrived := map[uint64]bool{}
		last := uint64(0)
		for range 150 {
			seq := rapid.OneOf(
				rapid.Uint64Range(last, last+6),
				rapid.Uint64Range(0, last+70),
				rapid.SampledFrom([]uint64{0, math.MaxUint64, 1 << 63}),
			).Draw(t, "seq")
			want := seq > 0 && !arrived[seq] && seq <= last+64
			if got := r.Batch(seq, start); got != want {
				t.Fatalf("batch %d after %d: apply %v, want %v", seq, last, got, want)
			}
			if want {
				arrived[seq] = true
			}
			for arrived[last+1] {
				last++
			}
			if r.Last() != last {
				t.Fatalf("batch %d: all up to %d have arrived, want %d", seq, r.Last(), last)
			}
			if _, owed := r.AckDue(); want && !owed {
				t.Fatalf("batch %d arrived and no acknowledgement is owed", seq)
			}
			if rapid.Bool().Draw(t, "ack") && r.Ack() != last {
				t.Fatalf("acknowledges other than %d", last)
			}
		}
	})
}

func TestForgottenPublisherStartsAnew(t *testing.T) {
	var r trouter.Receiver
	if !r.Apply("alice", 0) || r.Apply("alice", 0) {
		t.Fatal("version 0 must be new once")
	}
	r.Apply("alice", 9)
	r.Forget("alice")
	if v, ok := r.Version("alice"); ok {
		t.Fatalf("still knows version %d", v)
	}
	if !r.Apply("alice", 3) {
		t.Fatal("a forgotten publisher's version was refused")
	}
}
