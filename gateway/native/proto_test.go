package native_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/protobuf/proto"

	"rollcall/gateway/gatewaytest"
	"rollcall/messages"
	"rollcall/presence"
)

// binary is a socket that speaks protobuf, encoded by the standard library of
// protobuf and not by ours.
type binary struct {
	t  *testing.T
	ws *websocket.Conn
}

func (b *binary) send(f *messages.ClientFrame) {
	b.t.Helper()
	raw, err := proto.Marshal(f)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.ws.Write(ctx, websocket.MessageBinary, raw); err != nil {
		b.t.Fatal(err)
	}
}

func (b *binary) until(what string, fits func(*messages.ServerFrame) bool) *messages.ServerFrame {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		kind, raw, err := b.ws.Read(ctx)
		if err != nil {
			b.t.Fatalf("waiting for %s: %v", what, err)
		}
		var f messages.ServerFrame
		if err := proto.Unmarshal(raw, &f); err != nil || kind != websocket.MessageBinary {
			b.t.Fatalf("frame of %v: %v", kind, err)
		}
		if s := f.GetBatch(); s != nil {
			b.send(&messages.ClientFrame{Frame: &messages.ClientFrame_Ack{Ack: &messages.Ack{Seq: s.Seq}}})
		}
		if fits(&f) {
			return &f
		}
	}
}

func (b *binary) done(id uint64) *messages.Done {
	b.t.Helper()
	f := b.until("an answer", func(f *messages.ServerFrame) bool { return f.Id == id })
	if f.GetDone() == nil {
		b.t.Fatalf("answered %v", f)
	}
	return f.GetDone()
}

func (b *binary) sees(user, availability string) *messages.PresenceItem {
	b.t.Helper()
	var found *messages.PresenceItem
	b.until(availability, func(f *messages.ServerFrame) bool {
		for _, it := range f.GetBatch().GetItems() {
			if it.User == user && it.Availability == availability {
				found = it
			}
		}
		return found != nil
	})
	return found
}

func TestBinarySubprotocol(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	alice, dave := gatewaytest.MRI(t, "alice"), gatewaytest.MRI(t, "dave")
	b := &binary{t, dial(t, n, "rollcall.v1.proto")}
	b.send(&messages.ClientFrame{Frame: &messages.ClientFrame_Hello{Hello: &messages.Hello{
		Token: n.User(t, "alice"), Endpoint: "desk", Device: "Desktop",
	}}})
	w := b.until("the welcome", func(*messages.ServerFrame) bool { return true }).GetWelcome()
	if w.GetUser() != alice || w.GetEndpoint() != "desk" || w.GetSession() == "" || w.GetPingMs() != 25_000 || w.GetMaxMessage() != 16<<10 {
		t.Fatalf("welcome %v", w)
	}
	guest := guestName(dave)
	b.send(&messages.ClientFrame{Id: 1, Frame: &messages.ClientFrame_Watch{Watch: &messages.WatchRequest{Add: []string{alice, guest}}}})
	if d := b.done(1); d.Watching != 2 {
		t.Errorf("watching %d", d.Watching)
	}
	b.sees(guest, "Offline")

	publish := func(id uint64, p *messages.SourcePublish) {
		t.Helper()
		b.send(&messages.ClientFrame{Id: id, Frame: &messages.ClientFrame_Publish{Publish: p}})
		if d := b.done(id); d.Version == 0 {
			t.Errorf("publish %d has no version", id)
		}
	}
	publish(2, &messages.SourcePublish{Source: "client", Availability: "Available"})
	publish(3, &messages.SourcePublish{Source: "note", Note: &messages.Note{Content: "at lunch", Pinned: true}, DurationMs: 60_000})
	now := time.Now()
	publish(4, &messages.SourcePublish{Source: "calendar", Calendar: &messages.Calendar{Entries: []*messages.CalendarEntry{
		{Kind: uint32(presence.Meeting), Start: now.Add(-time.Hour).UnixMilli(), End: now.Add(time.Hour).UnixMilli()},
	}}})
	publish(5, &messages.SourcePublish{Source: "call", Key: "c", Call: &messages.Call{Parties: 2, Presenting: true}})
	it := b.sees(alice, "DoNotDisturb")
	if it.Activity != "Presenting" || it.Device != "Desktop" || it.Note.GetContent() != "at lunch" || !it.Note.GetPinned() || it.Version == 0 {
		t.Errorf("item %v", it)
	}

	b.send(&messages.ClientFrame{Id: 6, Frame: &messages.ClientFrame_Publish{Publish: &messages.SourcePublish{Source: "preferred", Availability: "Lunch"}}})
	f := b.until("the refusal", func(f *messages.ServerFrame) bool { return f.Id == 6 })
	if f.GetError().GetCode() != "bad_state" || f.GetError().GetText() == "" {
		t.Errorf("refusal %v", f)
	}
	b.send(&messages.ClientFrame{Frame: &messages.ClientFrame_Ping{Ping: &messages.Ping{}}})
	b.until("the pong", func(f *messages.ServerFrame) bool { return f.GetPong() != nil })
	b.send(&messages.ClientFrame{Id: 7, Frame: &messages.ClientFrame_Activity{Activity: &messages.Activity{Active: true}}})
	b.done(7)
	b.send(&messages.ClientFrame{Id: 8, Frame: &messages.ClientFrame_Token{Token: &messages.TokenRefresh{Token: n.User(t, "alice")}}})
	b.done(8)
	b.send(&messages.ClientFrame{Id: 9, Frame: &messages.ClientFrame_Bye{Bye: &messages.Bye{}}})
	b.done(9)
	b.closedWith(1000)
}

func TestBadBinaryFrames(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	b := &binary{t, dial(t, n, "rollcall.v1.proto")}
	for range 3 {
		if err := b.ws.Write(t.Context(), websocket.MessageBinary, []byte{0xff, 0xff}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		b.until("the refusal", func(f *messages.ServerFrame) bool { return f.GetError().GetCode() == "bad_json" })
	}
	b.closedWith(1008)
}

func (b *binary) closedWith(want websocket.StatusCode) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		_, _, err := b.ws.Read(ctx)
		var end websocket.CloseError
		switch {
		case err == nil:
		case errors.As(err, &end):
			if end.Code != want {
				b.t.Errorf("closed with %v, want %d", end, want)
			}
			return
		default:
			b.t.Fatal(err)
		}
	}
}
