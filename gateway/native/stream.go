package native

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/actors"
	"rollcall/gateway/auth"
	"rollcall/gateway/front"
	"rollcall/gateway/wsconn"
	"rollcall/messages"
	"rollcall/presence"
	"rollcall/wheel"
)

// The subprotocols; a client that offers none speaks JSON.
const (
	protocolJSON  = "rollcall.v1.json"
	protocolProto = "rollcall.v1.proto"
)

// stream is one WebSocket connection, from its hello to its end. It is the
// actors.Conn of its endpoint.
type stream struct {
	api   *API
	ws    *wsconn.Conn
	codec codec
	door  front.Door

	// Touched by the reading goroutine alone.
	manners manners
	link    *actors.Link // nil until the hello was taken

	key      actors.EndpointKey // set before the endpoint knows the connection
	device   presence.Device
	lease    lease
	welcomed atomic.Bool
	warning  atomic.Int64 // ns until the token ends; 0: nothing to say
}

// serveStream makes the request a socket and lets net/http go: the socket's
// reader is all that is left of it.
func (a *API) serveStream(w http.ResponseWriter, r *http.Request) {
	door, ok := a.admit(w, r)
	if !ok {
		return
	}
	ws, err := a.sockets.Upgrade(w, r)
	if err != nil {
		a.give(door)
		return
	}
	s := &stream{api: a, ws: ws, codec: codecOf(ws.Subprotocol()), door: door}
	s.lease.begin(s, a.front.Wheel, a.front.Now().Add(helloWithin))
	a.register(s)
	go s.serve()
}

func codecOf(subprotocol string) codec {
	if subprotocol == protocolProto {
		return protoCodec{}
	}
	return jsonCodec{}
}

// serve is the connection's goroutine.
func (s *stream) serve() {
	defer s.api.leave(s)
	defer s.door.Leave()
	_ = s.ws.Serve(s.onMessage) // why it ended concerns the client, who was told
	s.lease.end()
	if s.link != nil {
		s.link.Closed()
	}
}

// received holds frames for reuse: nothing keeps one after it was handled.
var received = sync.Pool{New: func() any { return new(frame) }}

// onMessage handles one frame. What it returns ends the connection.
func (s *stream) onMessage(op wsconn.Op, payload []byte) error {
	now := s.api.front.Now()
	f := received.Get().(*frame)
	defer received.Put(f)
	*f = frame{}
	if op != s.codec.op() {
		return &wsconn.CloseError{Code: 1003, Reason: "JSON travels in text frames, protobuf in binary ones"}
	}
	err := s.codec.decode(payload, f)
	if err != nil {
		err = s.manners.broken(err, now)
	} else if err = s.manners.admit(f.Type, now); err == nil {
		err = s.handle(f)
	}
	var end *wsconn.CloseError
	if err == nil || errors.As(err, &end) {
		return err
	}
	s.send(func(b []byte) []byte { return s.codec.failure(b, f.ID, s.refusal(err)) })
	return nil
}

func (s *stream) refusal(err error) *messages.Error {
	return front.Refusal(s.api.front.Actor(err))
}

func (s *stream) handle(f *frame) error {
	if s.link == nil {
		return s.hello(f)
	}
	switch f.Type {
	case typeAck:
		return s.link.Ack(f.Seq)
	case typePublish:
		return s.publish(f)
	case typeWatch:
		return s.watch(f)
	case typeUnwatch:
		return s.watch(&frame{ID: f.ID, Remove: f.Users})
	case typeActivity:
		return s.active(f)
	case typeToken:
		return s.refresh(f)
	case typePing:
		s.send(s.codec.pong)
		return nil
	case typeBye:
		return s.link.Bye(f.ID)
	case typeHello:
		return messages.ErrBadRequest.With("hello was said already")
	}
	return messages.ErrBadRequest.With("the type of the frame is not known")
}

func (s *stream) publish(f *frame) error {
	_, p, err := s.api.front.Publication(s.lease.identity(), &f.Source, front.Origin{Endpoint: s.key.ID, Device: s.device})
	if err != nil {
		return err
	}
	return s.link.Publish(f.ID, p)
}

func (s *stream) watch(f *frame) error {
	c, err := s.api.watchChange(s.lease.identity(), f.Add, f.Remove, f.Replace)
	if err != nil {
		return err
	}
	return s.link.Watch(f.ID, c)
}

// active takes a sign of the user; one that says "not active" has done its work
// by coming.
func (s *stream) active(f *frame) error {
	if f.Active == nil || *f.Active {
		return s.link.Active(f.ID)
	}
	s.done(f.ID)
	return nil
}

func (s *stream) done(id uint64) {
	if id != 0 {
		s.send(func(b []byte) []byte { return s.codec.done(b, id, &actors.Answer{}) })
	}
}

// hello authenticates the connection and attaches it to its endpoint. Whatever
// goes wrong here ends the connection.
func (s *stream) hello(f *frame) error {
	if f.Type != typeHello {
		return &wsconn.CloseError{Code: codeAuth, Reason: "the first frame must be hello"}
	}
	err := s.attach(f)
	if err == nil {
		return nil
	}
	e := s.refusal(err)
	s.send(func(b []byte) []byte { return s.codec.failure(b, f.ID, e) })
	return &wsconn.CloseError{Code: closeCode(e.Code), Reason: e.Code}
}

func (s *stream) attach(f *frame) error {
	ctx, cancel := context.WithTimeout(s.api.ctx, helloWithin)
	defer cancel()
	id, err := s.identify(ctx, f.Token)
	if err != nil {
		return err
	}
	if err := front.CheckEndpoint(f.Endpoint); err != nil {
		return err
	}
	if s.device, err = parseDevice(f.Device); err != nil {
		return err
	}
	s.key = actors.EndpointKey{User: id.User, ID: f.Endpoint}
	s.lease.live(id)
	link, err := s.api.front.Actors.Attach(ctx, actors.Attach{
		Key: s.key, Device: s.device, Session: f.Session, Ack: f.Ack, Conn: s,
	})
	if err != nil {
		return err
	}
	s.link = link
	return nil
}

// identify checks a token for a stream: a user's, who may see everybody, since
// the endpoint's list is kept from one connection to the next.
func (s *stream) identify(ctx context.Context, raw string) (*auth.Identity, error) {
	if raw == "" {
		return nil, auth.ErrMissing
	}
	id, err := s.api.front.Identify(ctx, raw)
	if err != nil {
		return nil, err
	}
	return id, streamer(id)
}

func streamer(id *auth.Identity) error {
	if id.Application {
		return messages.ErrForbidden.With("a stream belongs to a user; an application reads /v1/changes")
	}
	return front.Require(id, auth.PresenceReadAll)
}

// refresh takes a newer token of the same user.
func (s *stream) refresh(f *frame) error {
	ctx, cancel := context.WithTimeout(s.api.ctx, helloWithin)
	defer cancel()
	id, err := s.identify(ctx, f.Token)
	if err != nil {
		return err
	}
	if id.User != s.key.User {
		return messages.ErrForbidden.With("the token is another user's")
	}
	s.lease.live(id)
	s.done(f.ID)
	return nil
}

func parseDevice(name string) (presence.Device, error) {
	if name == "" {
		return presence.DeviceUnknown, nil
	}
	d, err := presence.ParseDevice(name)
	if err != nil || d == presence.App || d == presence.DeviceUnknown {
		return 0, messages.ErrBadRequest.With("device must be Desktop, Web or Mobile")
	}
	return d, nil
}

// lease is how long a connection may stay: until its first frame is due, then
// until its token ends. It has the connection's one timer.
type lease struct {
	timer wheel.Timer
	wheel *wheel.Wheel
	conn  leased

	mu     sync.Mutex
	id     *auth.Identity // nil before the hello
	warned bool
	over   bool
}

// leased is a connection with a lease. Its methods must not block.
type leased interface {
	// late says that no hello came in time.
	late()
	// expiring says that the token ends after d.
	expiring(d time.Duration)
	// expired says that it has ended.
	expired()
}

func (l *lease) begin(c leased, w *wheel.Wheel, helloBy time.Time) {
	l.conn, l.wheel = c, w
	l.timer.Target = l
	w.Schedule(&l.timer, helloBy)
}

func (l *lease) identity() *auth.Identity {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id
}

// live starts or extends the lease to the end of id's token.
func (l *lease) live(id *auth.Identity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id, l.warned = id, false
	if !l.over {
		l.wheel.Schedule(&l.timer, id.Expires.Add(-expiryNotice))
	}
}

func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.wheel.Stop(&l.timer)
}

// Fire is called by the wheel.
func (l *lease) Fire(_ *wheel.Timer, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over:
	case l.id == nil:
		l.conn.late()
	case !now.Before(l.id.Expires):
		l.conn.expired()
	case now.Before(l.id.Expires.Add(-expiryNotice)): // extended meanwhile
		l.wheel.Schedule(&l.timer, l.id.Expires.Add(-expiryNotice))
	default:
		if !l.warned {
			l.warned = true
			l.conn.expiring(l.id.Expires.Sub(now))
		}
		l.wheel.Schedule(&l.timer, l.id.Expires)
	}
}
