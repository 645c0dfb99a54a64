package client_test

import (
	"encoding/json"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"rollcall/client"
	"rollcall/messages"
	"rollcall/presence"
)

func TestBothEncodingsReadTheSame(t *testing.T) {
	full := messages.ProtoItem(alice, 77, presence.State{
		Availability: presence.Busy, Activity: presence.ActInACall, Device: presence.Web, LastActive: 1_700_000_000_000,
		OutOfOffice: true, OutOfOfficeMessage: "gone", Note: presence.Note{Content: "n<", Pinned: true, Published: 1_700_000_000_001, Expiry: 1_700_000_000_002},
		Location: presence.Location{Type: presence.LocationOffice, PlaceID: "b1"}, LocationSource: presence.SourceManual,
	})
	for name, tt := range map[string]struct {
		json string
		want *messages.ServerFrame
	}{
		"welcome": {
			`{"type":"welcome","endpoint":"e","session":"s","url":"u","resumed":true,"watching":3,"user":"8:x","pingMs":25000,"maxMessage":16384}`,
			&messages.ServerFrame{Frame: &messages.ServerFrame_Welcome{Welcome: &messages.Welcome{
				Endpoint: "e", Session: "s", Url: "u", Resumed: true, User: "8:x", PingMs: 25000, MaxMessage: 16384,
			}}},
		},
		"batch": {
			`{"type":"batch","seq":18,"items":[{"user":"` + alice + `","version":"A00000000000000000077","availability":"Busy","activity":"InACall",
			"device":"Web","lastActive":"2023-11-14T22:13:20.000Z","outOfOffice":{"message":"gone"},
			"note":{"content":"n\u003c","pinned":true,"published":"2023-11-14T22:13:20.001Z","expiry":"2023-11-14T22:13:20.002Z"},
			"location":{"type":"Office","source":"Manual","placeId":"b1"}}]}`,
			&messages.ServerFrame{Frame: &messages.ServerFrame_Batch{Batch: &messages.Batch{Seq: 18, Items: []*messages.PresenceItem{full}}}},
		},
		"done": {
			`{"type":"done","id":1,"version":"A00000000000000000005","watching":3,"refused":["a"]}`,
			&messages.ServerFrame{Id: 1, Frame: &messages.ServerFrame_Done{Done: &messages.Done{Version: 5, Watching: 3, Refused: []string{"a"}}}},
		},
		"error": {
			`{"type":"error","id":1,"code":"publish_rate","message":"slow","retryAfterMs":1000}`,
			&messages.ServerFrame{Id: 1, Frame: &messages.ServerFrame_Error{Error: &messages.Failure{Code: "publish_rate", Text: "slow", RetryAfterMs: 1000}}},
		},
		"notice": {
			`{"type":"notice","code":"going_away","afterMs":30000,"url":"https://b","delayMs":700}`,
			&messages.ServerFrame{Frame: &messages.ServerFrame_Notice{Notice: &messages.Notice{
				Code: "going_away", AfterMs: 30000, Url: "https://b", DelayMs: 700,
			}}},
		},
		"pong": {`{"type":"pong","new":{"field":1}}`, &messages.ServerFrame{Frame: &messages.ServerFrame_Pong{Pong: &messages.Pong{}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := client.Decode["json"]([]byte(tt.json))
			if err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(got, tt.want) {
				t.Errorf("JSON reads as\n%v, want\n%v", got, tt.want)
			}
			b, err := tt.want.MarshalVT()
			if err != nil {
				t.Fatal(err)
			}
			if got, err = client.Decode["proto"](b); err != nil || !proto.Equal(got, tt.want) {
				t.Errorf("protobuf reads as\n%v (%v), want\n%v", got, err, tt.want)
			}
		})
	}
}

func TestFramesInJSON(t *testing.T) {
	yes := &messages.Activity{Active: true}
	for name, tt := range map[string]struct {
		frame *messages.ClientFrame
		want  string
	}{
		"hello": {
			&messages.ClientFrame{Frame: &messages.ClientFrame_Hello{Hello: &messages.Hello{Token: "t", Endpoint: "e", Device: "Web", Session: "s", Ack: 17}}},
			`{"type":"hello","token":"t","endpoint":"e","device":"Web","session":"s","ack":17}`,
		},
		"watch": {
			&messages.ClientFrame{Id: 2, Frame: &messages.ClientFrame_Watch{Watch: &messages.WatchRequest{Add: []string{"8:a"}, Replace: true}}},
			`{"type":"watch","id":2,"add":["8:a"],"replace":true}`,
		},
		"ack":      {&messages.ClientFrame{Frame: &messages.ClientFrame_Ack{Ack: &messages.Ack{Seq: 17}}}, `{"type":"ack","seq":17}`},
		"activity": {&messages.ClientFrame{Frame: &messages.ClientFrame_Activity{Activity: yes}}, `{"type":"activity","active":true}`},
		"token":    {&messages.ClientFrame{Id: 4, Frame: &messages.ClientFrame_Token{Token: &messages.TokenRefresh{Token: "t"}}}, `{"type":"token","id":4,"token":"t"}`},
		"ping":     {&messages.ClientFrame{Frame: &messages.ClientFrame_Ping{Ping: &messages.Ping{}}}, `{"type":"ping"}`},
		"bye":      {&messages.ClientFrame{Id: 5, Frame: &messages.ClientFrame_Bye{Bye: &messages.Bye{}}}, `{"type":"bye","id":5}`},
		"publish": {
			&messages.ClientFrame{Id: 1, Frame: &messages.ClientFrame_Publish{Publish: &messages.SourcePublish{
				Source: "calendar", User: "8:a", Calendar: &messages.Calendar{Entries: []*messages.CalendarEntry{{Kind: 3, Start: 0, End: 1500, Message: "m"}}},
			}}},
			`{"type":"publish","id":1,"source":"calendar","user":"8:a","entries":[{"kind":"OutOfOffice","start":"1970-01-01T00:00:00Z","end":"1970-01-01T00:00:01.5Z","message":"m"}]}`,
		},
		"note": {
			&messages.ClientFrame{Id: 1, Frame: &messages.ClientFrame_Publish{Publish: &messages.SourcePublish{
				Source: "note", DurationMs: 90_000, Note: &messages.Note{Content: "", Pinned: true},
			}}},
			`{"type":"publish","id":1,"source":"note","duration":"PT1M30S","note":"","pinned":true}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := client.Encode["json"](tt.frame)
			if err != nil || string(b) != tt.want {
				t.Errorf("%s (%v), want %s", b, err, tt.want)
			}
		})
	}
}

func FuzzServerFrame(f *testing.F) {
	f.Add([]byte(`{"type":"batch","seq":1,"items":[{"user":"8:a","version":"A00000000000000000001"}]}`))
	f.Add([]byte{0x2a, 0x02, 0x08, 0x01})
	f.Add([]byte(`{"type":"welcome"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, decode := range client.Decode {
			got, err := decode(b)
			if err != nil {
				if !errors.Is(err, client.ErrProtocol) {
					t.Errorf("%s: %v is not ErrProtocol", name, err)
				}
				continue
			}
			if got.Frame == nil {
				t.Errorf("%s: a frame of no kind was taken", name)
			}
			if name == "json" && !json.Valid(b) {
				t.Error("what is no JSON was taken")
			}
		}
	})
}

func FuzzUserName(f *testing.F) {
	f.Add(alice)
	f.Add(tenant + "/" + alice)
	f.Add("a11ce000-6c1f-4f0e-a9be-000000000001")
	home, err := presence.ParseTenant(tenant)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := client.Canonical(s, home)
		if err != nil {
			return
		}
		if again, err := client.Canonical(name, home); err != nil || again != name {
			t.Errorf("%q is %q, and that %q (%v)", s, name, again, err)
		}
		if _, err := presence.ParseTarget(name, home); err != nil {
			t.Errorf("%q is %q, which a node does not take: %v", s, name, err)
		}
	})
}
