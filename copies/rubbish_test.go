package copies

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
	"rollcall/replica"
	"rollcall/wheel"

	"rollcall/cluster/topology"
)

// letters are one of each message that Receive takes.
func letters() []proto.Message {
	u := userN(1)
	cm := note(u, "x")
	cm.Feed = &persistence.FeedEntry{Origin: 2, Seq: 9, Prev: 8, User: u, State: cm.State, Version: cm.Version}
	copied := fromCommit(&cm)
	d := messages.Delta{Id: 1, Copy: copied}
	b, err := d.MarshalVT()
	if err != nil {
		panic(err)
	}
	set := bytes.Repeat([]byte{1}, bitmapBytes)
	roots := make([]uint64, bitmapBytes)
	shard := uint32(u.Shard())
	return []proto.Message{
		&messages.Deltas{Deltas: [][]byte{b, b}},
		&messages.DeltasStored{Stored: []uint64{1, 2}, Refused: []uint64{3}},
		&messages.Fetch{Id: 1, User: messages.FromUser(u)},
		&messages.Fetched{Id: 1, Copy: copied},
		&messages.Roots{Table: 1, Shards: set, Roots: roots},
		&messages.Differs{Table: 1, Shards: set, Roots: roots, Unknown: set, Mark: 4},
		&messages.Pull{Id: 1, Shard: shard, Have: make([]byte, 32), After: messages.FromUser(u), Ends: []*messages.FeedEnd{{Origin: 1, Seq: 2}}},
		&messages.Page{
			Id: 1, Shard: shard, Root: 4, Copies: []*messages.UserCopy{copied}, Next: messages.FromUser(u), More: true,
			Feed: []*messages.FeedEntry{fromFeed(cm.Feed), {Origin: 1, Seq: 3, Version: uint64(shard)}},
		},
		&messages.Surplus{Table: 1, Shards: set, Roots: roots},
		&messages.Covered{Table: 1, Shards: set},
		&messages.Behind{Shards: set},
	}
}

// lonely is a node that knows of two others, to which nothing goes.
func lonely(t testing.TB) *Copies {
	t.Helper()
	self := topology.Member{ID: idOfStore(1), Incarnation: 1, Roles: topology.Presence}
	c, err := New(Config{Disk: newDisk(1), Node: 1, Self: self, Wheel: wheel.New(0, 0), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	c.Start(func(string, proto.Message) error { return nil }, nil)
	list := []topology.Member{self}
	for _, store := range []uint64{2, 3} {
		list = append(list, topology.Member{ID: idOfStore(store), Incarnation: 1, Roles: topology.Presence})
	}
	c.SetTable(topology.NewTable(1, list))
	t.Cleanup(c.Close)
	return c
}

func FuzzReceive(f *testing.F) {
	all := letters()
	for i, m := range all {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), true, b)
		f.Add(uint8(i), false, b)
	}
	c := lonely(f)
	f.Fuzz(func(t *testing.T, kind uint8, member bool, b []byte) {
		m := all[int(kind)%len(all)].ProtoReflect().New().Interface()
		if proto.Unmarshal(b, m) != nil {
			return
		}
		from := idOfStore(2)
		if !member {
			from = "stranger"
		}
		if !c.Receive(from, m) {
			t.Fatalf("%T was not taken", m)
		}
	})
}

func TestReceiveTakesItsOwnMessagesOnly(t *testing.T) {
	c := lonely(t)
	for _, m := range letters() {
		if !c.Receive(idOfStore(2), m) {
			t.Errorf("%T was not taken", m)
		}
	}
	if c.Receive(idOfStore(2), &messages.Ping{}) {
		t.Error("a message of somebody else was taken")
	}
}

// What is not valid is refused as a whole: nothing of it reaches the store.
func TestRubbishIsRefused(t *testing.T) {
	u, now := userN(1), time.Now()
	good := func() *messages.UserCopy {
		cm := note(u, "x")
		return fromCommit(&cm)
	}
	for name, spoil := range map[string]func(*messages.UserCopy){
		"no user":               func(m *messages.UserCopy) { m.User = nil },
		"no tenant":             func(m *messages.UserCopy) { m.User.Tenant = make([]byte, 16) },
		"bad mri":               func(m *messages.UserCopy) { m.User.Mri = "x" },
		"element without key":   func(m *messages.UserCopy) { m.Elements[0].Key = "" },
		"key of another kind":   func(m *messages.UserCopy) { m.Elements[0].Key = "calendar" },
		"unknown kind":          func(m *messages.UserCopy) { m.Elements[0].Key, m.Elements[0].Value = "mood", nil },
		"version without state": func(m *messages.UserCopy) { m.State = nil },
		"too many elements":     func(m *messages.UserCopy) { m.Elements = make([]*messages.Element, maxElements+1) },
		"a long text":           func(m *messages.UserCopy) { m.State.OutOfOfficeMessage = string(make([]byte, maxText+1)) },
		"feed without version":  func(m *messages.UserCopy) { m.Version, m.Feed = 0, &messages.FeedEntry{Origin: 1, Seq: 1} },
		"feed that goes back":   func(m *messages.UserCopy) { m.Feed = &messages.FeedEntry{Origin: 1, Seq: 1, Prev: 1} },
		"clock ahead": func(m *messages.UserCopy) {
			var c presence.Clock
			m.Elements[0].Version = uint64(c.Next(now.Add(time.Hour)))
		},
		"state of a clock ahead": func(m *messages.UserCopy) {
			var c presence.Clock
			m.Version = uint64(c.Next(now.Add(time.Hour)))
		},
	} {
		m := good()
		spoil(m)
		if _, err := newChecker(now).commit(m); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	back, err := newChecker(time.Now()).commit(good())
	if err != nil || back.State.Note.Content != "x" || len(back.Elements) != 1 {
		t.Errorf("%+v, %v", back, err)
	}
	for name, m := range map[string]proto.Message{
		"short set":        &messages.Behind{Shards: []byte{1}},
		"fewer roots":      &messages.Roots{Shards: bytes.Repeat([]byte{1}, bitmapBytes)},
		"fetch of nobody":  &messages.Fetch{Id: 1},
		"unknown set":      &messages.Differs{Unknown: []byte{1}},
		"rootless surplus": &messages.Surplus{Shards: bytes.Repeat([]byte{1}, bitmapBytes)},
		"short covered":    &messages.Covered{Shards: []byte{1, 2}},
	} {
		if got, err := fromWire(m); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestSetsOfShardsCrossTheWire(t *testing.T) {
	m := replica.Roots{Table: 7, Shards: []uint16{4095, 0, 77}, Roots: []uint64{1, 2, 3}}
	back, err := fromWire(toWire(m))
	got, ok := back.(replica.Roots)
	if err != nil || !ok || got.Table != 7 || len(got.Shards) != 3 {
		t.Fatalf("%+v, %v", back, err)
	}
	for i, want := range []uint16{0, 77, 4095} {
		if got.Shards[i] != want || got.Roots[i] != uint64([]int{2, 3, 1}[i]) {
			t.Errorf("%+v", got)
		}
	}
	if none, err := fromWire(toWire(replica.Behind{})); err != nil || len(none.(replica.Behind).Shards) != 0 {
		t.Errorf("%+v, %v", none, err)
	}
}

func TestSenderIsBounded(t *testing.T) {
	var s sender
	s.init()
	for id := range uint64(maxDeltas + 10) {
		s.delta("a", id, []byte{1})
		s.ack("a", id, true)
	}
	for range maxOthers {
		s.other("a", &messages.Behind{})
	}
	if s.other("a", &messages.Behind{}) {
		t.Error("more than there is room for was taken")
	}
	var deltas, dropped int
	for {
		p, _, ok := s.next()
		if !ok {
			break
		}
		deltas += len(p.ids)
		dropped += len(p.dropped)
		if len(p.ids) > batchDeltas {
			t.Errorf("%d deltas in one message", len(p.ids))
		}
	}
	if deltas != maxDeltas || dropped != 10 {
		t.Errorf("%d deltas sent, %d dropped", deltas, dropped)
	}
}

func TestBatchesAreBoundedInBytes(t *testing.T) {
	var s sender
	s.init()
	for id := range uint64(7) {
		s.delta("a", id, make([]byte, batchBytes/3))
	}
	s.delta("a", 7, make([]byte, 2*batchBytes))
	for _, want := range []int{3, 3, 1, 1} {
		if p, _, ok := s.next(); !ok || len(p.ids) != want {
			t.Errorf("%d deltas in a message, want %d", len(p.ids), want)
		}
	}
	if _, _, ok := s.next(); ok {
		t.Error("something is left")
	}
}

func TestMessagesThatCannotBeSentCountAsRefused(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		three(n, Config{Ack: 2})
		table := n.meet()
		n.settled(settleTime)
		u := userN(1)
		set := n.holders(table, u)
		setLow(set[0].disk, true)
		lost := errors.New("no way")
		set[0].Start(func(string, proto.Message) error { return lost }, nil)
		copies, err := set[0].commit(note(u, "x"))
		if copies != 0 || !errors.Is(err, persistence.ErrStorageLow) {
			t.Fatalf("%d copies, %v", copies, err)
		}
	})
}
