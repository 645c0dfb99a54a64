package client

import (
	"fmt"

	"github.com/coder/websocket"

	"rollcall/messages"
)

// Encoding is how frames travel; it changes nothing else.
type Encoding uint8

// The encodings. Proto is the smaller one, JSON can be read in a proxy's log.
const (
	Proto Encoding = iota
	JSON
)

// codec turns frames into messages of one subprotocol. What decode does not
// understand is ErrProtocol.
type codec interface {
	subprotocol() string
	kind() websocket.MessageType
	encode(f *messages.ClientFrame) ([]byte, error)
	decode(b []byte) (*messages.ServerFrame, error)
}

type protoCodec struct{}

func (protoCodec) subprotocol() string         { return "rollcall.v1.proto" }
func (protoCodec) kind() websocket.MessageType { return websocket.MessageBinary }

func (protoCodec) encode(f *messages.ClientFrame) ([]byte, error) { return f.MarshalVT() }

func (protoCodec) decode(b []byte) (*messages.ServerFrame, error) {
	f := &messages.ServerFrame{}
	if err := f.UnmarshalVT(b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if f.Frame == nil {
		return nil, fmt.Errorf("%w: a frame of a kind that this version does not know", ErrProtocol)
	}
	return f, nil
}
