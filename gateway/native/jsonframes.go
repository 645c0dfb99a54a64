package native

import (
	"bytes"
	"encoding/json"
	"strconv"

	"rollcall/actors"
	"rollcall/gateway/front"
	"rollcall/gateway/wsconn"
	"rollcall/messages"
	"rollcall/presence"
)

// jsonCodec is the subprotocol rollcall.v1.json.
type jsonCodec struct{}

func (jsonCodec) op() wsconn.Op { return wsconn.Text }

func (jsonCodec) decode(payload []byte, into *frame) error {
	if seq, ok := plainAck(payload); ok {
		into.Type, into.Seq = typeAck, seq
		return nil
	}
	return front.Decode(payload, into)
}

// plainAck reads an acknowledgement in the form in which nearly all come. Every
// other form goes the long way and means the same.
func plainAck(payload []byte) (seq uint64, ok bool) {
	rest, ok := bytes.CutPrefix(payload, []byte(`{"type":"ack","seq":`))
	if !ok {
		return 0, false
	}
	digits, ok := bytes.CutSuffix(rest, []byte("}"))
	if !ok || len(digits) == 0 || len(digits) > 18 || digits[0] == '0' {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		seq = seq*10 + uint64(c-'0')
	}
	return seq, true
}

func (jsonCodec) welcome(b []byte, w *welcome) []byte {
	return appendTyped(b, "welcome", w)
}

func (jsonCodec) batch(b []byte, seq uint64, viewer presence.TenantID, updates []*actors.Update) []byte {
	b = append(b, `{"type":"batch",`...)
	return append(appendBatch(b, seq, viewer, updates), '}')
}

// appendBatch appends the members of a batch from what the updates have
// rendered already.
func appendBatch(b []byte, seq uint64, viewer presence.TenantID, updates []*actors.Update) []byte {
	b = append(b, `"seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, `,"items":[`...)
	for i, u := range updates {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, u.JSON(viewer)...)
	}
	return append(b, ']')
}

func (jsonCodec) done(b []byte, id uint64, a *actors.Answer) []byte {
	d := struct {
		ID         uint64   `json:"id"`
		Version    string   `json:"version,omitempty"`
		Durability int      `json:"durability,omitempty"`
		Watching   *int     `json:"watching,omitempty"`
		Refused    []string `json:"refused,omitempty"`
	}{ID: id, Refused: a.Refused, Durability: a.Copies}
	if a.Version != 0 {
		d.Version = presence.Version(a.Version).String()
	} else {
		d.Watching = &a.Watching
	}
	return appendTyped(b, "done", d)
}

func (jsonCodec) failure(b []byte, id uint64, e *messages.Error) []byte {
	return appendTyped(b, "error", struct {
		ID uint64 `json:"id,omitempty"`
		front.ErrorBody
	}{id, front.Body(e)})
}

func (jsonCodec) notice(b []byte, n notice) []byte { return appendTyped(b, "notice", n) }

func (jsonCodec) pong(b []byte) []byte { return append(b, `{"type":"pong"}`...) }

// appendTyped appends an object with its type in front. v is a struct with at
// least one member that is always there.
func appendTyped(b []byte, kind string, v any) []byte {
	b = append(b, `{"type":"`...)
	b = append(b, kind...)
	b = append(b, `",`...)
	return append(b, plain(v)[1:]...)
}

// plain is v in JSON. The structs here hold strings, numbers and booleans and
// nothing that can fail to encode.
func plain(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
