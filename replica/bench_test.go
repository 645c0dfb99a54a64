package replica

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkCommit is a commit in a set of three, from its beginning until both
// others have answered.
func BenchmarkCommit(b *testing.B) {
	now := time.Unix(1e9, 0)
	m := New(Config{Ack: 2, Digests: roots{}}, now)
	names := []Member{"a", "b", "c"}
	m.SetView(now, View{Table: 1, Self: "a", Members: names, Sets: func(uint16) []Member { return names }})
	m.Take()
	b.ReportAllocs()
	for i := range uint64(b.N) {
		now = now.Add(time.Microsecond)
		m.Commit(now, i+1, uint16(i%Shards), "user", nil)
		m.Take()
		m.Wrote(now, i+1, true)
		m.Receive(now, "b", Ack{ID: i + 1, OK: true})
		m.Receive(now, "c", Ack{ID: i + 1, OK: true})
		if m.Next().IsZero() {
			b.Fatal("the others are to be compared some time")
		}
		m.Take()
	}
	if n := m.Status().Commits; n != 0 {
		b.Errorf("%d commits are kept", n)
	}
}

// BenchmarkSetView is a change among 16 members.
func BenchmarkSetView(b *testing.B) {
	now := time.Unix(1e9, 0)
	m := New(Config{Ack: 2, Digests: roots{}}, now)
	var names []Member
	for i := range 32 {
		names = append(names, Member(fmt.Sprintf("node-%d#%d", i%16, i)))
	}
	b.ReportAllocs()
	for i := range uint64(b.N) {
		all := names[i%2*16:][:16]
		m.SetView(now, View{Table: i + 1, Self: names[0], Members: all, Sets: func(s uint16) []Member {
			return all[s%14 : s%14+3]
		}})
		m.Take()
	}
}
