package native

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"rollcall/actors"
	"rollcall/gateway/front"
	"rollcall/gateway/wsconn"
	"rollcall/messages"
	"rollcall/presence"
)

// protoCodec is the subprotocol rollcall.v1.proto.
type protoCodec struct{}

func (protoCodec) op() wsconn.Op { return wsconn.Binary }

// errBadFrame is a binary frame that is no ClientFrame.
var errBadFrame = front.ErrBadJSON.With("the frame is not a ClientFrame")

func (protoCodec) decode(payload []byte, f *frame) error {
	var m messages.ClientFrame
	if m.UnmarshalVT(payload) != nil {
		return errBadFrame
	}
	f.ID = m.Id
	switch x := m.Frame.(type) {
	case *messages.ClientFrame_Hello:
		f.Type, f.Token, f.Endpoint = typeHello, x.Hello.GetToken(), x.Hello.GetEndpoint()
		f.Device, f.Session, f.Ack = x.Hello.GetDevice(), x.Hello.GetSession(), x.Hello.GetAck()
	case *messages.ClientFrame_Publish:
		f.Type, f.Source = typePublish, source(x.Publish)
	case *messages.ClientFrame_Watch:
		f.Type, f.Add, f.Remove, f.Replace = typeWatch, x.Watch.GetAdd(), x.Watch.GetRemove(), x.Watch.GetReplace()
	case *messages.ClientFrame_Ack:
		f.Type, f.Seq = typeAck, x.Ack.GetSeq()
	case *messages.ClientFrame_Ping:
		f.Type = typePing
	case *messages.ClientFrame_Activity:
		active := x.Activity.GetActive()
		f.Type, f.Active = typeActivity, &active
	case *messages.ClientFrame_Token:
		f.Type, f.Token = typeToken, x.Token.GetToken()
	case *messages.ClientFrame_Bye:
		f.Type = typeBye
	default:
		return errBadFrame
	}
	return nil
}

// maxDuration is longer than any source may last, and fits.
const maxDuration = 10_000 * 24 * time.Hour

// source gives a binary publish the words of the JSON one, so that there is one
// reading of both.
func source(m *messages.SourcePublish) front.Source {
	s := front.Source{
		Source: m.GetSource(), Key: m.GetKey(), Clear: m.GetClear(),
		Availability: m.GetAvailability(), Activity: m.GetActivity(),
		Note: m.GetNote().GetContent(), Pinned: m.GetNote().GetPinned(),
		Parties: int(m.GetCall().GetParties()), Presenting: m.GetCall().GetPresenting(),
		LocationType: m.GetLocationType(), PlaceID: m.GetPlaceId(), User: m.GetUser(),
	}
	if m.GetDurationMs() != 0 {
		s.Duration = presence.FormatDuration(time.Duration(min(m.GetDurationMs(), maxDuration.Milliseconds())) * time.Millisecond)
	}
	for _, e := range m.GetCalendar().GetEntries() {
		s.Entries = append(s.Entries, front.Entry{
			Kind: presence.EntryKind(e.GetKind()).String(), Start: front.Moment(e.GetStart()),
			End: front.Moment(e.GetEnd()), Message: e.GetMessage(),
		})
	}
	return s
}

func (protoCodec) welcome(b []byte, w *welcome) []byte {
	return appendFrame(b, &messages.ServerFrame{Frame: &messages.ServerFrame_Welcome{Welcome: &messages.Welcome{
		Endpoint: w.Endpoint, Session: w.Session, Url: w.URL, Resumed: w.Resumed, User: w.User,
		PingMs: w.PingMS, MaxMessage: uint32(w.MaxMessage), Watching: uint32(w.Watching),
	}}})
}

// Field numbers of messages/wire.proto that batches are put together with.
const (
	fieldFrameBatch = 5
	fieldBatchSeq   = 1
	fieldBatchItems = 2
)

func (protoCodec) batch(b []byte, seq uint64, viewer presence.TenantID, updates []*actors.Update) []byte {
	size := protowire.SizeTag(fieldBatchSeq) + protowire.SizeVarint(seq)
	for _, u := range updates {
		size += protowire.SizeTag(fieldBatchItems) + protowire.SizeBytes(len(u.Proto(viewer)))
	}
	b = protowire.AppendTag(b, fieldFrameBatch, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = protowire.AppendTag(b, fieldBatchSeq, protowire.VarintType)
	b = protowire.AppendVarint(b, seq)
	for _, u := range updates {
		b = protowire.AppendTag(b, fieldBatchItems, protowire.BytesType)
		b = protowire.AppendBytes(b, u.Proto(viewer))
	}
	return b
}

func (protoCodec) done(b []byte, id uint64, a *actors.Answer) []byte {
	return appendFrame(b, &messages.ServerFrame{Id: id, Frame: &messages.ServerFrame_Done{Done: &messages.Done{
		Version: a.Version, Refused: a.Refused, Watching: uint32(a.Watching), Durability: uint32(a.Copies),
	}}})
}

func (protoCodec) failure(b []byte, id uint64, e *messages.Error) []byte {
	return appendFrame(b, &messages.ServerFrame{Id: id, Frame: &messages.ServerFrame_Error{Error: &messages.Failure{
		Code: e.Code, Text: e.Text, RetryAfterMs: e.RetryAfter.Milliseconds(),
	}}})
}

func (protoCodec) notice(b []byte, n notice) []byte {
	return appendFrame(b, &messages.ServerFrame{Frame: &messages.ServerFrame_Notice{Notice: &messages.Notice{
		Code: n.Code, AfterMs: n.AfterMS, Url: n.URL, DelayMs: n.DelayMS,
	}}})
}

func (protoCodec) pong(b []byte) []byte {
	return appendFrame(b, &messages.ServerFrame{Frame: &messages.ServerFrame_Pong{Pong: &messages.Pong{}}})
}

func appendFrame(b []byte, m *messages.ServerFrame) []byte {
	frame, err := m.MarshalVT()
	if err != nil {
		panic(err) // a message without required fields cannot fail to encode
	}
	return append(b, frame...)
}
