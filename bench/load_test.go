package bench

import (
	"encoding/binary"
	"testing"

	"rollcall/messages"
)

// The floor writes what a client would take for a batch of the node: a frame of
// the size it says, with the version where the floor counts it.
func TestFloorFrame(t *testing.T) {
	const user, version = 4711, 99
	frame := renderFloor(user)
	binary.LittleEndian.PutUint64(frame[versionAt:], version)
	if len(frame) != floorFrame {
		t.Errorf("the frame has %d bytes, want %d", len(frame), floorFrame)
	}
	opcode, payload, rest, ok := cutFrame(frame)
	if !ok || opcode != finalBinary || len(rest) != 0 {
		t.Fatalf("not one whole binary frame: %x", frame)
	}
	var m messages.ServerFrame
	if err := m.UnmarshalVT(payload); err != nil {
		t.Fatal(err)
	}
	items := m.GetBatch().GetItems()
	if len(items) != 1 || items[0].User != userMRI(user) || items[0].Version != version {
		t.Errorf("the frame says %v", items)
	}
}

// Whoever watches a user is watched by it in turn of the same arithmetic.
func TestListOfIsTheInverseOfWatcher(t *testing.T) {
	for _, crowd := range []int{51, 500, 5000} {
		watchers := make(map[[2]int]bool)
		for u := range crowd {
			for k := range 50 {
				watchers[[2]int{watcher(u, k, crowd), u}] = true
			}
		}
		if len(watchers) != crowd*50 {
			t.Fatalf("crowd of %d: %d different pairs, want %d", crowd, len(watchers), crowd*50)
		}
		for c := range crowd {
			for _, u := range listOf(c, 50, crowd) {
				if !watchers[[2]int{c, u}] {
					t.Fatalf("crowd of %d: %d lists %d, which does not count it as a watcher", crowd, c, u)
				}
			}
		}
	}
}

// What the load writes by hand is what the node reads.
func TestClientFrames(t *testing.T) {
	read := func(payload []byte) *messages.ClientFrame {
		t.Helper()
		frame := appendFrame(nil, finalBinary, payload)
		head := 2
		if frame[1]&0x7f == 126 {
			head = 4
		}
		key, body := frame[head:head+4], frame[head+4:]
		for i := range body {
			body[i] ^= key[i&3]
		}
		var m messages.ClientFrame
		if err := m.UnmarshalVT(body); err != nil {
			t.Fatal(err)
		}
		return &m
	}
	hello := read(greeting{"token", "endpoint", "session", 7}.frame()).GetHello()
	if hello.GetToken() != "token" || hello.GetEndpoint() != "endpoint" || hello.GetSession() != "session" || hello.GetAck() != 7 {
		t.Errorf("hello: %v", hello)
	}
	watch := read(watchFrame(3, []int{1, 2, 3, 4}))
	if add := watch.GetWatch().GetAdd(); watch.GetId() != 3 || len(add) != 4 || add[3] != userMRI(4) {
		t.Errorf("watch: %v", watch)
	}
	publish := read(publishFrame(9, clientStates[1]))
	if p := publish.GetPublish(); publish.GetId() != 9 || p.GetSource() != "client" || p.GetAvailability() != "Busy" || p.GetActivity() != "Busy" {
		t.Errorf("publish: %v", publish)
	}
	if p := read(publishFrame(1, noteState("x"))).GetPublish(); p.GetSource() != "note" || p.GetNote().GetContent() != "x" {
		t.Errorf("note: %v", p)
	}
	if seq := read(ackFrame(300)).GetAck().GetSeq(); seq != 300 {
		t.Errorf("ack of %d, want 300", seq)
	}
}
