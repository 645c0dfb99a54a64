package client

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/coder/websocket"

	"rollcall/messages"
	"rollcall/presence"
)

type jsonCodec struct{}

func (jsonCodec) subprotocol() string         { return "rollcall.v1.json" }
func (jsonCodec) kind() websocket.MessageType { return websocket.MessageText }

// jsonOut is every field that a client's frame can have.
type jsonOut struct {
	Type     string `json:"type"`
	ID       uint64 `json:"id,omitempty"`
	Token    string `json:"token,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	Device   string `json:"device,omitempty"`
	Session  string `json:"session,omitempty"`
	Ack      uint64 `json:"ack,omitempty"`
	Seq      uint64 `json:"seq,omitempty"`
	Active   *bool  `json:"active,omitempty"`

	Add     []string `json:"add,omitempty"`
	Remove  []string `json:"remove,omitempty"`
	Replace bool     `json:"replace,omitempty"`

	*jsonSource
}

type jsonSource struct {
	Source       string      `json:"source"`
	Key          string      `json:"key,omitempty"`
	User         string      `json:"user,omitempty"`
	Clear        bool        `json:"clear,omitempty"`
	Availability string      `json:"availability,omitempty"`
	Activity     string      `json:"activity,omitempty"`
	Duration     string      `json:"duration,omitempty"`
	Note         *string     `json:"note,omitempty"`
	Pinned       bool        `json:"pinned,omitempty"`
	Entries      []jsonEntry `json:"entries,omitempty"`
	Parties      uint32      `json:"parties,omitempty"`
	Presenting   bool        `json:"presenting,omitempty"`
	LocationType string      `json:"locationType,omitempty"`
	PlaceID      string      `json:"placeId,omitempty"`
}

type jsonEntry struct {
	Kind    string `json:"kind"`
	Start   string `json:"start"`
	End     string `json:"end"`
	Message string `json:"message,omitempty"`
}

func (jsonCodec) encode(f *messages.ClientFrame) ([]byte, error) {
	o := jsonOut{ID: f.Id}
	switch x := f.Frame.(type) {
	case *messages.ClientFrame_Hello:
		o.Type, o.Token, o.Endpoint = "hello", x.Hello.Token, x.Hello.Endpoint
		o.Device, o.Session, o.Ack = x.Hello.Device, x.Hello.Session, x.Hello.Ack
	case *messages.ClientFrame_Publish:
		o.Type, o.jsonSource = "publish", sourceJSON(x.Publish)
	case *messages.ClientFrame_Watch:
		o.Type, o.Add, o.Remove, o.Replace = "watch", x.Watch.Add, x.Watch.Remove, x.Watch.Replace
	case *messages.ClientFrame_Ack:
		o.Type, o.Seq = "ack", x.Ack.Seq
	case *messages.ClientFrame_Ping:
		o.Type = "ping"
	case *messages.ClientFrame_Activity:
		o.Type, o.Active = "activity", &x.Activity.Active
	case *messages.ClientFrame_Token:
		o.Type, o.Token = "token", x.Token.Token
	case *messages.ClientFrame_Bye:
		o.Type = "bye"
	default:
		return nil, fmt.Errorf("client: a frame of kind %T has no JSON form", f.Frame)
	}
	return json.Marshal(o)
}

func sourceJSON(p *messages.SourcePublish) *jsonSource {
	s := &jsonSource{
		Source: p.Source, Key: p.Key, User: p.User, Clear: p.Clear,
		Availability: p.Availability, Activity: p.Activity,
		Parties: p.Call.GetParties(), Presenting: p.Call.GetPresenting(),
		LocationType: p.LocationType, PlaceID: p.PlaceId,
	}
	if p.DurationMs != 0 {
		s.Duration = presence.FormatDuration(time.Duration(p.DurationMs) * time.Millisecond)
	}
	if n := p.Note; n != nil {
		s.Note, s.Pinned = &n.Content, n.Pinned
	}
	for _, e := range p.Calendar.GetEntries() {
		s.Entries = append(s.Entries, jsonEntry{
			Kind:  presence.EntryKind(e.Kind).String(),
			Start: jsonTime(e.Start), End: jsonTime(e.End), Message: e.Message,
		})
	}
	return s
}

func jsonTime(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano) }

// jsonIn is every field that a server's frame can have.
type jsonIn struct {
	Type         string              `json:"type"`
	ID           uint64              `json:"id"`
	Endpoint     string              `json:"endpoint"`
	Session      string              `json:"session"`
	URL          string              `json:"url"`
	Resumed      bool                `json:"resumed"`
	Watching     uint32              `json:"watching"`
	User         string              `json:"user"`
	PingMs       int64               `json:"pingMs"`
	MaxMessage   uint32              `json:"maxMessage"`
	Version      string              `json:"version"`
	Refused      []string            `json:"refused"`
	Code         string              `json:"code"`
	Message      string              `json:"message"`
	RetryAfterMs int64               `json:"retryAfterMs"`
	AfterMs      int64               `json:"afterMs"`
	DelayMs      int64               `json:"delayMs"`
	Seq          uint64              `json:"seq"`
	Items        []messages.ItemJSON `json:"items"`
}

func (jsonCodec) decode(b []byte) (*messages.ServerFrame, error) {
	var in jsonIn
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	f := &messages.ServerFrame{Id: in.ID}
	var err error
	switch in.Type {
	case "welcome":
		f.Frame = &messages.ServerFrame_Welcome{Welcome: &messages.Welcome{
			Endpoint: in.Endpoint, Session: in.Session, Url: in.URL, Resumed: in.Resumed,
			User: in.User, PingMs: in.PingMs, MaxMessage: in.MaxMessage,
		}}
	case "batch":
		batch := &messages.Batch{Seq: in.Seq}
		batch.Items, err = in.items()
		f.Frame = &messages.ServerFrame_Batch{Batch: batch}
	case "done":
		done := &messages.Done{Refused: in.Refused, Watching: in.Watching}
		done.Version, err = version(in.Version)
		f.Frame = &messages.ServerFrame_Done{Done: done}
	case "error":
		f.Frame = &messages.ServerFrame_Error{Error: &messages.Failure{
			Code: in.Code, Text: in.Message, RetryAfterMs: in.RetryAfterMs,
		}}
	case "pong":
		f.Frame = &messages.ServerFrame_Pong{Pong: &messages.Pong{}}
	case "notice":
		f.Frame = &messages.ServerFrame_Notice{Notice: &messages.Notice{
			Code: in.Code, AfterMs: in.AfterMs, Url: in.URL, DelayMs: in.DelayMs,
		}}
	default:
		err = fmt.Errorf("%w: a frame of type %.32q", ErrProtocol, in.Type)
	}
	return f, err
}

func (in *jsonIn) items() ([]*messages.PresenceItem, error) {
	out := make([]*messages.PresenceItem, len(in.Items))
	for i := range in.Items {
		it, err := itemOf(&in.Items[i])
		if err != nil {
			return nil, err
		}
		out[i] = it
	}
	return out, nil
}

func itemOf(j *messages.ItemJSON) (*messages.PresenceItem, error) {
	v, err := version(j.Version)
	if err != nil {
		return nil, err
	}
	it := &messages.PresenceItem{
		User: j.User, Version: v, Availability: j.Availability, Activity: j.Activity, Device: j.Device,
		LastActive: millis(j.LastActive),
	}
	if o := j.OutOfOffice; o != nil {
		it.OutOfOffice, it.OutOfOfficeMessage = true, o.Message
	}
	if n := j.Note; n != nil {
		it.Note = &messages.Note{
			Content: n.Content, Pinned: n.Pinned, Published: millis(n.Published), Expiry: millis(n.Expiry),
		}
	}
	if l := j.Location; l != nil {
		it.LocationType, it.LocationSource, it.PlaceId = l.Type, l.Source, l.PlaceID
	}
	return it, nil
}

func version(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	v, err := presence.ParseVersion(s)
	if err != nil {
		return 0, fmt.Errorf("%w: version %.32q", ErrProtocol, s)
	}
	return uint64(v), nil
}

// millis reads a time that only decorates an item: one that cannot be read is as
// good as none.
func millis(s string) int64 {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0
	}
	return t.UnixMilli()
}
