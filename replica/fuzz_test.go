package replica

import (
	"encoding/binary"
	"testing"
	"time"
)

// rubbish reads messages from bytes.
type rubbish []byte

func (r *rubbish) number() uint64 {
	var b [8]byte
	n := copy(b[:2], *r)
	*r = (*r)[n:]
	return binary.LittleEndian.Uint64(b[:])
}

// id is often one that the machine has given.
func (r *rubbish) id(ids []uint64) uint64 {
	n := r.number()
	if len(ids) > 0 && n%4 > 0 {
		return ids[n/4%uint64(len(ids))]
	}
	return n
}

func (r *rubbish) shards() []uint16 {
	list := make([]uint16, r.number()%8)
	for i := range list {
		list[i] = uint16(r.number())
		if list[i]%2 == 0 {
			list[i] %= 8
		}
	}
	return list
}

func (r *rubbish) roots() []uint64 {
	list := make([]uint64, r.number()%8)
	for i := range list {
		list[i] = r.number() % 4
	}
	return list
}

func (r *rubbish) message(ids []uint64) Message {
	shard := uint16(r.number())
	if shard%2 == 0 {
		shard %= 8
	}
	ok, table := r.number()%2 == 0, r.number()%2
	switch r.number() % 11 {
	case 0:
		return Delta{ID: r.number(), Shard: shard}
	case 1:
		return Ack{ID: r.id(ids), OK: ok}
	case 2:
		return Fetch{ID: r.number(), Shard: shard}
	case 3:
		return Copy{ID: r.id(ids), OK: ok}
	case 4:
		return Roots{r.number(), r.number(), table, r.shards(), r.roots()}
	case 5:
		return Differs{r.id(ids), r.number(), table, r.number(), r.shards(), r.roots(), r.shards()}
	case 6:
		return Pull{ID: r.number(), Table: table, Shard: shard}
	case 7:
		p := Page{ID: r.id(ids), Shard: shard, Root: r.number(), OK: ok}
		if r.number()%2 == 0 {
			p.Next = "more"
		}
		return p
	case 8:
		return Surplus{r.number(), table, r.shards(), r.roots()}
	case 9:
		return Covered{r.id(ids), table, r.shards()}
	}
	return Behind{r.shards()}
}

// idsOf are those that an output asks to be answered with.
func idsOf(out []Output) (ids, writes []uint64) {
	for _, o := range out {
		switch o := o.(type) {
		case Write:
			writes = append(writes, o.ID)
		case Absorb:
			writes = append(writes, o.ID)
		case Drop:
			writes = append(writes, o.ID)
		case Send:
			switch msg := o.Message.(type) {
			case Delta:
				ids = append(ids, msg.ID)
			case Fetch:
				ids = append(ids, msg.ID)
			case Roots:
				ids = append(ids, msg.Round)
			case Surplus:
				ids = append(ids, msg.Round)
			case Pull:
				ids = append(ids, msg.ID)
			}
		}
	}
	return ids, writes
}

// FuzzReceive feeds a machine rubbish between commits and gathers. It must not
// panic, do little for each message, and have nothing under way long after.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{})
	for i := range 11 {
		seed := make([]byte, 400)
		for j := range seed {
			seed[j] = byte(j * j >> (i % 3))
		}
		seed[6] = byte(i)
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		now := time.Unix(1e9, 0)
		store := roots{1: 1, 2: 2, 3: 3, 5: 2}
		m := New(Config{Ack: 2, Digests: store, Seed: 1, shards: 64}, now)
		names := []Member{"a", "b", "c", "d", "stranger", "a"}
		m.SetView(now, View{Table: 1, Self: "a", Members: names[:4], Sets: func(s uint16) []Member {
			return names[s%3 : s%3+2]
		}})
		r := rubbish(data)
		var ids, writes []uint64
		take := func() int {
			out := m.Take()
			given, begun := idsOf(out)
			ids, writes = append(ids, given...), append(writes, begun...)
			return len(out)
		}
		take()
		for i := uint64(1); len(r) > 0; i++ {
			switch r.number() % 8 {
			case 0:
				m.Commit(now, i, uint16(r.number()), "u", nil)
			case 1:
				m.Gather(now, i, uint16(r.number()), "u")
			case 2:
				m.Wrote(now, r.id(writes), r.number()%4 > 0)
			case 3:
				now = now.Add(time.Duration(r.number()-3000) * time.Millisecond)
				m.Tick(now)
			default:
				m.Receive(now, names[r.number()%6], r.message(ids))
				if n := take(); n > 16 {
					t.Fatalf("%d outputs for one message", n)
				}
			}
			take()
		}
		for range 50 {
			for _, id := range writes {
				m.Wrote(now, id, true)
			}
			writes = nil
			now = now.Add(3 * time.Second)
			m.Tick(now)
			take()
		}
		if s := m.Status(); s.Commits != 0 || s.Gathers != 0 || s.Absorbs != 0 {
			t.Errorf("still under way: %+v", s)
		}
	})
}
