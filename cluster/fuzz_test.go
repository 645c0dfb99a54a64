package cluster

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/presence"
	"rollcall/wheel"
)

// nowhere takes everything and carries it nowhere.
type nowhere struct{}

func (nowhere) Send(string, *messages.Routed) error   { return nil }
func (nowhere) Return(string, *messages.Routed) error { return nil }
func (nowhere) Notify(string, *messages.Notify) error { return nil }

// strange are envelopes of a peer that is confused, or worse.
func strange() []*messages.Envelope {
	body := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			panic(err)
		}
		return b
	}
	node := func(kind string, m proto.Message) *messages.Routed {
		return &messages.Routed{Actor: "node", Type: "rollcall.v1." + kind, Body: body(m), ReplyNode: "b#1", ReplyId: 7}
	}
	u, o := User(userN(1)), User(userN(2))
	return []*messages.Envelope{
		{},
		{Epoch: 1 << 63, Table: 3},
		{Routed: []*messages.Routed{
			{Actor: u.String(), Type: "rollcall.v1.Read", Hops: 1 << 31},
			{Actor: u.String(), Type: "rollcall.v1.Read", ReplyNode: "b#1", ReplyId: 1 << 63},
			{Actor: o.String(), Type: "rollcall.v1.Adopt", Handoff: true, Shard: 1 << 31},
			{Actor: o.String(), Type: "google.protobuf.Any", Body: []byte{0xff}},
			{Actor: "", Type: "rollcall.v1.Status", ReplyNode: "a#1", ReplyId: 64},
			{Actor: "", Type: "rollcall.v1.Published", ReplyNode: "a#1", ReplyId: 1<<64 - 1},
			{Actor: "node", ReplyNode: "no/such\x00#node"},
			{Actor: "tenant/", ReplyNode: "/", ReplyId: 1},
		}},
		{Routed: []*messages.Routed{
			node("HandoffBegin", &messages.HandoffBegin{Shard: 1 << 31}),
			node("HandoffBegin", &messages.HandoffBegin{Shard: presence.Shards}),
			node("HandoffEnd", &messages.HandoffEnd{Shard: presence.Shards + 1}),
			node("HandoffEnd", &messages.HandoffEnd{Shard: 3}),
			node("Holdings", &messages.Holdings{Shards: []byte{1}}),
			node("Holdings", &messages.Holdings{Shards: make([]byte, presence.Shards/8)}),
			node("Serving", &messages.Serving{}),
			node("HandoffState", &messages.HandoffState{State: 77}),
		}},
		{Returned: []*messages.Routed{
			{Actor: u.String(), Type: "rollcall.v1.Read", Owner: "a", ReplyNode: "a#1", ReplyId: 65},
			{Actor: o.String(), Type: "rollcall.v1.Read", Owner: "b", Hops: 11},
			{Actor: "node"}, {},
		}, Epoch: 99},
		{Notifies: []*messages.Notify{{}, {Endpoints: []uint32{1<<32 - 1}}}},
	}
}

// Whatever a member sends, nothing panics, and the node still answers.
func FuzzEnvelope(f *testing.F) {
	for _, e := range strange() {
		b, err := proto.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	w := wheel.New(time.Millisecond, 256)
	w.Start(context.Background())
	n := NewNode(Config{
		Self: member("a"), Log: slog.New(slog.DiscardHandler), Wheel: w, Now: time.Now,
		Registerer: prometheus.NewRegistry(), Spawn: echoes("a"),
		Hooks: Hooks{
			Notify:  func(*messages.Notify) {},
			Control: func(_ string, m proto.Message, reply func(proto.Message)) {},
		},
	})
	f.Cleanup(func() {
		n.Close()
		w.Close()
	})
	n.Connect(nowhere{})
	n.SetMembers([]topology.Member{member("a"), member("b")})
	mine := userN(0)
	for i := 0; n.shards.of(mine.Shard()) != served; i++ {
		mine = userN(i)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e := &messages.Envelope{}
		if e.UnmarshalVT(b) != nil {
			return
		}
		n.Receive("b", e)
		n.Receive("stranger", e)
		if _, err := n.Request(t.Context(), User(mine), &messages.Read{}); err != nil {
			t.Errorf("the node does not answer any more: %v", err)
		}
		if n.resends.Load() > maxResends || n.shards.kept > maxKept {
			t.Errorf("%d resends, %d kept", n.resends.Load(), n.shards.kept)
		}
	})
}
