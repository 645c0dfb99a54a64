package native

import (
	"time"

	"rollcall/actors"
	"rollcall/gateway/front"
	"rollcall/gateway/wsconn"
	"rollcall/messages"
	"rollcall/presence"
)

// The types of frames that clients send.
const (
	typeHello    = "hello"
	typePublish  = "publish"
	typeWatch    = "watch"
	typeUnwatch  = "unwatch"
	typeAck      = "ack"
	typeActivity = "activity"
	typeToken    = "token"
	typePing     = "ping"
	typeBye      = "bye"
)

// frame is any frame of a client. Only the fields of its type count.
type frame struct {
	Type     string   `json:"type"`
	ID       uint64   `json:"id"`
	Token    string   `json:"token"`
	Endpoint string   `json:"endpoint"`
	Device   string   `json:"device"`
	Session  string   `json:"session"`
	Ack      uint64   `json:"ack"`
	Seq      uint64   `json:"seq"`
	Add      []string `json:"add"`
	Remove   []string `json:"remove"`
	Users    []string `json:"users"`
	Replace  bool     `json:"replace"`
	Active   *bool    `json:"active"`
	front.Source
}

// welcome is the answer to a hello.
type welcome struct {
	Endpoint   string `json:"endpoint"`
	Session    string `json:"session"`
	URL        string `json:"url"`
	Resumed    bool   `json:"resumed"`
	Watching   int    `json:"watching"`
	User       string `json:"user"`
	PingMS     int64  `json:"pingMs"`
	MaxMessage int    `json:"maxMessage"`
}

// maxMessage bounds a client's message, in bytes.
const maxMessage = 16 << 10

// notice warns of something that will end the connection. URL and DelayMS say
// where and when to come back; without a URL it is where the client is now.
type notice struct {
	Code    string `json:"code"`
	AfterMS int64  `json:"afterMs"`
	URL     string `json:"url,omitempty"`
	DelayMS int64  `json:"delayMs,omitempty"`
}

func expiringIn(d time.Duration) notice {
	return notice{Code: "token_expiring", AfterMS: d.Milliseconds()}
}

func goingAway(h actors.Hint) notice {
	return notice{Code: messages.ErrClosing.Code, URL: h.URL, DelayMS: h.Delay.Milliseconds()}
}

// codec is one encoding of the protocol. Encoders append a whole frame to b.
type codec interface {
	op() wsconn.Op
	decode(payload []byte, into *frame) error
	welcome(b []byte, w *welcome) []byte
	batch(b []byte, seq uint64, viewer presence.TenantID, updates []*actors.Update) []byte
	done(b []byte, id uint64, a *actors.Answer) []byte
	failure(b []byte, id uint64, e *messages.Error) []byte
	notice(b []byte, n notice) []byte
	pong(b []byte) []byte
}

func newWelcome(f *front.Front, k actors.EndpointKey, a *actors.Attached) *welcome {
	return &welcome{
		Endpoint: k.ID, Session: a.Session, URL: a.Address.URL(f.Base), Resumed: a.Resumed, Watching: a.Watching,
		User: k.User.MRI, PingMS: actors.PingEvery.Milliseconds(), MaxMessage: maxMessage,
	}
}
