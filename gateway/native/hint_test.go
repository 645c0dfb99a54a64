package native_test

import (
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rollcall/actors"
	"rollcall/gateway/gatewaytest"
	"rollcall/messages"
	"rollcall/presence"
)

func leaving(m message) bool { return m.Type == "notice" && m.Code == "going_away" }

// A node that closes asks its clients to come back to where they are, not all at
// once. Who has not said hello is told nothing.
func TestClosingNodeSaysWhenToComeBack(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	said, silent, stream := connect(t, n, "alice", "a"), raw(t, n), events(t, n, n.User(t, "bob"), "b", "")
	stream.until("welcome")
	closed := make(chan error, 1)
	go func() { closed <- n.Close() }()
	if m := said.until("notice", leaving); m.URL != "" || m.DelayMS < 0 || m.DelayMS >= 1000 {
		t.Errorf("hint %+v, want a delay below a second and no other node", m)
	}
	said.closedWith(4503)
	if m, err := silent.read(); websocket.CloseStatus(err) != 4503 {
		t.Errorf("a connection without a hello was told %+v, %v", m, err)
	}
	if e := stream.until("notice"); e.Code != "going_away" || e.DelayMS >= 1000 {
		t.Errorf("event %+v", e)
	}
	if e := stream.until("close"); e.close != 4503 {
		t.Errorf("event %+v", e)
	}
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the node does not close")
	}
}

func TestHintNamesAnotherNode(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	a, stream := connect(t, n, "alice", "a"), events(t, n, n.User(t, "bob"), "b", "")
	stream.until("welcome")
	c := &binary{t, dial(t, n, "rollcall.v1.proto")}
	c.send(&messages.ClientFrame{Frame: &messages.ClientFrame_Hello{Hello: &messages.Hello{Token: n.User(t, "carol"), Endpoint: "c"}}})
	c.until("the welcome", func(f *messages.ServerFrame) bool { return f.GetWelcome() != nil })
	elsewhere := func(u presence.UserID) string { return "https://" + strings.TrimPrefix(u.MRI, "8:orgid:") }
	moved, err := n.Front.Actors.MoveEndpoints(t.Context(), actors.Drain{Hint: elsewhere})
	if err != nil || moved != 3 {
		t.Fatalf("%d moved, %v, want all three", moved, err)
	}
	where := func(login string) string { return elsewhere(presence.UserID{MRI: gatewaytest.MRI(t, login)}) }
	if m := a.until("notice", leaving); m.URL != where("alice") || m.DelayMS >= 1000 {
		t.Errorf("JSON: %+v", m)
	}
	a.closedWith(4503)
	if e := stream.until("notice"); e.Code != "going_away" || e.URL != where("bob") || e.DelayMS >= 1000 {
		t.Errorf("events: %+v", e)
	}
	if e := stream.until("close"); e.close != 4503 {
		t.Errorf("event %+v", e)
	}
	f := c.until("the notice", func(f *messages.ServerFrame) bool { return f.GetNotice() != nil }).GetNotice()
	if f.Code != "going_away" || f.Url != where("carol") || f.DelayMs >= 1000 {
		t.Errorf("protobuf: %v", f)
	}
	if _, _, err := c.ws.Read(t.Context()); websocket.CloseStatus(err) != 4503 {
		t.Errorf("protobuf: ended with %v", err)
	}
	late := raw(t, n)
	late.send(map[string]any{"type": "hello", "token": n.User(t, "alice"), "endpoint": "late"})
	if m := late.next(); m.Type != "error" || m.Code != "going_away" || m.RetryMS == 0 {
		t.Errorf("a hello to a node that leaves was answered %+v", m)
	}
	late.closedWith(4503)
}
