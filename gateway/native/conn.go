package native

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"rollcall/actors"
	"rollcall/gateway/auth"
	"rollcall/gateway/front"
	"rollcall/gateway/wsconn"
	"rollcall/messages"
)

// frames holds buffers for frames under construction; the outbox copies them.
var frames = sync.Pool{New: func() any { return new([]byte) }}

// keepBuffer is the largest buffer that goes back into the pool, in bytes.
const keepBuffer = 128 << 10

// built hands a frame, built in a pooled buffer, to use.
func built(build func(b []byte) []byte, use func(b []byte) error) error {
	p := frames.Get().(*[]byte)
	*p = build((*p)[:0])
	err := use(*p)
	if cap(*p) <= keepBuffer {
		frames.Put(p)
	}
	return err
}

// queue puts a frame into the outbox. A client that lets it overflow is too
// slow.
func (s *stream) queue(build func(b []byte) []byte) {
	err := built(build, func(b []byte) error { return s.ws.Queue(s.codec.op(), b) })
	if errors.Is(err, wsconn.ErrSlow) {
		s.ws.Close(codeSlow, "slow_consumer")
	}
}

func (s *stream) send(build func(b []byte) []byte) {
	s.queue(build)
	s.ws.Flush()
}

// Welcome is of actors.Conn.
func (s *stream) Welcome(a actors.Attached) {
	s.queue(func(b []byte) []byte { return s.codec.welcome(b, newWelcome(s.api.front, s.key, &a)) })
	s.welcomed.Store(true)
	s.warn(s.queue)
}

// SendBatch is of actors.Conn.
func (s *stream) SendBatch(seq uint64, updates []*actors.Update) {
	s.queue(func(b []byte) []byte { return s.codec.batch(b, seq, s.key.User.Tenant, updates) })
}

// Answer is of actors.Conn.
func (s *stream) Answer(id uint64, a actors.Answer) {
	switch {
	case a.Err != nil:
		s.queue(func(b []byte) []byte { return s.codec.failure(b, id, s.refusal(a.Err)) })
	case id != 0:
		s.queue(func(b []byte) []byte { return s.codec.done(b, id, &a) })
	}
}

// Flush is of actors.Conn.
func (s *stream) Flush() { s.ws.Flush() }

// Ping is of actors.Conn.
func (s *stream) Ping() { s.ws.Ping() }

// LastHeard is of actors.Conn.
func (s *stream) LastHeard() time.Time { return s.ws.LastHeard() }

// Move is of actors.Conn.
func (s *stream) Move(h actors.Hint) {
	s.queue(func(b []byte) []byte { return s.codec.notice(b, goingAway(h)) })
}

// Close is of actors.Conn.
func (s *stream) Close(r actors.CloseReason) {
	c := reasons[r]
	s.ws.Close(c.code, c.text)
}

func (s *stream) goAway(h actors.Hint) {
	if s.welcomed.Load() { // nothing comes before the welcome
		s.Move(h)
	}
	s.Close(actors.CloseGoingAway)
}

func (s *stream) late() { s.ws.Close(codeAuth, "no hello within 5 seconds") }

func (s *stream) expiring(d time.Duration) {
	s.warning.Store(int64(d))
	if s.welcomed.Load() { // nothing comes before the welcome
		s.warn(s.send)
	}
}

// warn sends the warning that the token ends, if one is due.
func (s *stream) warn(write func(build func(b []byte) []byte)) {
	if d := s.warning.Swap(0); d != 0 {
		write(func(b []byte) []byte { return s.codec.notice(b, expiringIn(time.Duration(d))) })
	}
}

func (s *stream) expired() { s.ws.Close(codeAuth, auth.ErrExpired.Code) }

// reasons are the endpoint's, as the wire has them.
var reasons = map[actors.CloseReason]struct {
	code uint16
	text string
}{
	actors.CloseSuperseded: {codeSuperseded, "superseded"},
	actors.CloseSlow:       {codeSlow, "slow_consumer"},
	actors.CloseSilent:     {codeSlow, "silent"},
	actors.CloseGoingAway:  {codeGoingAway, messages.ErrClosing.Code},
	actors.CloseProtocol:   {wsconn.CodePolicy, "acknowledged what was never sent"},
	actors.CloseEnded:      {wsconn.CodeNormal, "bye"},
}

// closeCode is how a connection ends whose hello was refused.
func closeCode(code string) uint16 {
	switch front.Status(code) {
	case http.StatusUnauthorized:
		return codeAuth
	case http.StatusForbidden:
		return codeForbidden
	case http.StatusTooManyRequests:
		return codeRate
	case http.StatusServiceUnavailable:
		return codeGoingAway
	case http.StatusInternalServerError:
		return wsconn.CodeInternal
	}
	return wsconn.CodePolicy
}
