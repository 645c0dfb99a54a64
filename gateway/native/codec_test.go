package native

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"

	"rollcall/actors"
	"rollcall/gateway/front"
	"rollcall/messages"
	"rollcall/presence"
)

var home = presence.TenantID{1}

func updates() []*actors.Update {
	return []*actors.Update{
		{
			Publisher: presence.UserID{Tenant: home, MRI: "8:alice"}, Version: 7,
			State: presence.State{Availability: presence.Busy, Activity: presence.ActInACall, Note: presence.Note{Content: "\"é\"\n"}},
		},
		{Publisher: presence.UserID{Tenant: presence.TenantID{2}, MRI: "8:dave"}, Version: 9},
	}
}

func TestBatchIsWhatThePartsSay(t *testing.T) {
	for name, us := range map[string][]*actors.Update{"none": nil, "one": updates()[:1], "several": updates()} {
		t.Run(name, func(t *testing.T) {
			items := []messages.ItemJSON{}
			want := &messages.ServerFrame{Frame: &messages.ServerFrame_Batch{Batch: &messages.Batch{Seq: 300}}}
			for _, u := range us {
				items = append(items, messages.Item(front.Name(u.Publisher, home), u.Version, u.State))
				want.GetBatch().Items = append(want.GetBatch().Items, messages.ProtoItem(front.Name(u.Publisher, home), u.Version, u.State))
			}
			var got struct {
				Type  string
				Seq   uint64
				Items []messages.ItemJSON
			}
			if err := json.Unmarshal(jsonCodec{}.batch(nil, 300, home, us), &got); err != nil {
				t.Fatal(err)
			}
			if got.Type != "batch" || got.Seq != 300 || !reflect.DeepEqual(got.Items, items) {
				t.Errorf("JSON %+v", got)
			}
			var frame messages.ServerFrame
			if err := proto.Unmarshal(protoCodec{}.batch(nil, 300, home, us), &frame); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(&frame, want) {
				t.Errorf("protobuf %v, want %v", &frame, want)
			}
		})
	}
}

// Encoders append: what is in the buffer already stays.
func TestEncodersAppend(t *testing.T) {
	w := &welcome{Endpoint: "e", URL: "u"}
	for _, c := range []codec{jsonCodec{}, protoCodec{}} {
		for name, encode := range map[string]func(b []byte) []byte{
			"welcome": func(b []byte) []byte { return c.welcome(b, w) },
			"batch":   func(b []byte) []byte { return c.batch(b, 1, home, updates()) },
			"done":    func(b []byte) []byte { return c.done(b, 1, &actors.Answer{Version: 5}) },
			"failure": func(b []byte) []byte { return c.failure(b, 1, messages.ErrBadID) },
			"notice":  func(b []byte) []byte { return c.notice(b, notice{Code: "x", AfterMS: 1}) },
			"pong":    c.pong,
		} {
			alone, behind := encode(nil), encode([]byte("before"))
			if len(alone) == 0 || string(behind) != "before"+string(alone) {
				t.Errorf("%T %s: %q alone, %q behind", c, name, alone, behind)
			}
		}
	}
}

func TestPlainAckIsReadAsAnyOther(t *testing.T) {
	for text, quick := range map[string]bool{
		`{"type":"ack","seq":1}`:                    true,
		`{"type":"ack","seq":999999999999999999}`:   true,
		`{"type":"ack","seq":18446744073709551615}`: false,
		`{"type":"ack","seq":0}`:                    false,
		`{"type":"ack","seq":-1}`:                   false,
		`{"type":"ack","seq":01}`:                   false,
		`{"type":"ack","seq":1.0}`:                  false,
		`{"type":"ack","seq":}`:                     false,
		`{"type":"ack","seq":1,"seq":2}`:            false,
		`{"type":"ack","seq":1}}`:                   false,
		`{"seq":1,"type":"ack"}`:                    false,
	} {
		seq, ok := plainAck([]byte(text))
		if ok != quick {
			t.Errorf("%s: taken %v", text, ok)
		}
		var f frame
		if err := front.Decode([]byte(text), &f); ok && (err != nil || f.Seq != seq || f.Type != typeAck) {
			t.Errorf("%s: %d, the long way %d, %v", text, seq, f.Seq, err)
		}
	}
}

func FuzzJSONFrame(f *testing.F) {
	for _, s := range []string{
		`{"type":"hello","token":"t","endpoint":"e","device":"Web","session":"s","ack":17}`,
		`{"type":"publish","id":1,"source":"client","availability":"Busy"}`, `{"type":"watch","add":["8:x"],"replace":true}`,
		`{"type":"ack","seq":17}`, `{"type":"activity","active":false}`, `{"type":"bye","id":18446744073709551615}`, `[]`, `null`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, slow frame
		err := jsonCodec{}.decode(b, &got)
		if err != nil && !errors.Is(err, front.ErrBadJSON) {
			t.Fatal(err)
		}
		if slowErr := front.Decode(b, &slow); err == nil && (slowErr != nil || !reflect.DeepEqual(got, slow)) {
			t.Fatalf("%q: %+v, the long way %+v, %v", b, got, slow, slowErr)
		}
	})
}

func FuzzProtoFrame(f *testing.F) {
	for _, m := range []*messages.ClientFrame{
		{Id: 1, Frame: &messages.ClientFrame_Hello{Hello: &messages.Hello{Token: "t", Endpoint: "e", Ack: 17}}},
		{Id: 2, Frame: &messages.ClientFrame_Publish{Publish: &messages.SourcePublish{
			Source: "calendar", DurationMs: -1, Calendar: &messages.Calendar{Entries: []*messages.CalendarEntry{{Kind: 77, Start: -1}}},
			Call: &messages.Call{Parties: 1 << 31},
		}}},
		{Frame: &messages.ClientFrame_Ack{Ack: &messages.Ack{Seq: 17}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var got frame
		if err := (protoCodec{}).decode(b, &got); err != nil {
			if !errors.Is(err, front.ErrBadJSON) {
				t.Fatal(err)
			}
			return
		}
		if got.Type == "" {
			t.Fatalf("%x: a frame without a type", b)
		}
	})
}

func BenchmarkDecodeAck(b *testing.B) {
	payload := []byte(`{"type":"ack","seq":4711}`)
	b.ReportAllocs()
	var f frame
	for b.Loop() {
		if err := (jsonCodec{}).decode(payload, &f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBatch(b *testing.B) {
	us := make([]*actors.Update, 50)
	for i := range us {
		us[i] = updates()[0]
	}
	for name, c := range map[string]codec{"json": jsonCodec{}, "proto": protoCodec{}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = built(func(buf []byte) []byte { return c.batch(buf, 1, home, us) }, func([]byte) error { return nil })
			}
		})
	}
}
