package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"

	"rollcall/limit"
	"rollcall/messages"
)

// link is one connection. Its goroutine reads; a second one writes, a third
// renews the token. serve waits for all.
type link struct {
	c        *Client
	to       *gateway
	ws       *websocket.Conn
	token    string
	ctx      context.Context // ends with the connection, by cancel with the reason
	cancel   context.CancelCauseFunc
	expiring chan struct{}
	ping     time.Duration
	most     int   // bytes of a message to the node
	hint     *hint // touched by the reader alone

	// Guarded by c.mu.
	heard   time.Time
	pinged  bool
	refused *Error // the last error about no request in particular
	frames  limit.Bucket
	acks    limit.Bucket
}

const (
	defaultPing = 25 * time.Second
	defaultMost = 16 << 10
	// closing bounds the close handshake.
	closing = time.Second
)

func newLink(c *Client, token string) *link {
	l := &link{c: c, to: c.gateways.present(), token: token, expiring: make(chan struct{}, 1), heard: time.Now()}
	l.ctx, l.cancel = context.WithCancelCause(context.WithoutCancel(c.ctx))
	return l
}

// open connects and introduces itself; after an error nothing is left open.
func (l *link) open() error {
	ws, err := l.c.dial(l.to, l.hear)
	if err != nil {
		l.cancel(err)
		return err
	}
	l.ws = ws
	if err = l.greet(); err != nil {
		l.cancel(err)
		_ = ws.CloseNow() // the reason is err
	}
	return err
}

// greet says hello and waits for the welcome.
func (l *link) greet() error {
	ctx, cancel := context.WithTimeout(l.c.ctx, patience)
	defer cancel()
	b, err := l.c.codec.encode(l.hello())
	if err != nil {
		return err
	}
	if err := l.write(ctx, b); err != nil {
		return l.lost(err)
	}
	for {
		f, err := l.read(ctx)
		if err != nil {
			return err
		}
		switch x := f.Frame.(type) {
		case *messages.ServerFrame_Welcome:
			l.welcome(x.Welcome)
			return nil
		case *messages.ServerFrame_Error:
			l.refused = failure(x.Error)
		default:
			return fmt.Errorf("%w: %T before the welcome", ErrProtocol, f.Frame)
		}
	}
}

func (l *link) hello() *messages.ClientFrame {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &messages.Hello{Token: l.token, Endpoint: c.cfg.Endpoint, Device: c.cfg.Device.String()}
	if c.session.id != "" {
		h.Session, h.Ack = c.session.id, c.session.receiver.Last()
	}
	return &messages.ClientFrame{Frame: &messages.ClientFrame_Hello{Hello: h}}
}

// welcome prepares for what follows: of a session that goes on only the rest is
// due, in a new one every watched user is told again.
func (l *link) welcome(w *messages.Welcome) {
	c := l.c
	l.ping, l.most = time.Duration(w.PingMs)*time.Millisecond, int(w.MaxMessage)
	if l.ping <= 0 {
		l.ping = defaultPing
	}
	if l.most <= 0 {
		l.most = defaultMost
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settleHome(w.Url)
	s := &c.session
	if w.Resumed {
		s.receiver.Ack() // the hello has said it
	} else {
		s.receiver.Reset(0)
		s.synced = false
	}
	s.id = w.Session
	c.repeat(!w.Resumed || time.Since(s.lost) > graceLeft)
	c.move(State{Status: Connected, Resumed: w.Resumed, User: w.User, URL: w.Url, Server: l.to.server})
}

// serve works until the connection is over and says why it ended.
func (l *link) serve() error {
	var wg sync.WaitGroup
	wg.Go(l.writeAll)
	wg.Go(l.renew)
	err := l.readAll()
	l.cancel(err)
	wg.Wait()
	_ = l.ws.CloseNow() // the reason is known
	return context.Cause(l.ctx)
}

func (l *link) readAll() error {
	for {
		f, err := l.read(l.ctx)
		if errors.Is(err, ErrProtocol) {
			l.close(websocket.StatusProtocolError, "frame not understood")
		}
		if err != nil {
			return err
		}
		l.handle(f)
	}
}

func (l *link) read(ctx context.Context) (*messages.ServerFrame, error) {
	kind, b, err := l.ws.Read(ctx)
	if err != nil {
		return nil, l.lost(err)
	}
	l.hear()
	if kind != l.c.codec.kind() {
		return nil, fmt.Errorf("%w: a frame of kind %s", ErrProtocol, kind)
	}
	return l.c.codec.decode(b)
}

func (l *link) write(ctx context.Context, b []byte) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return l.ws.Write(ctx, l.c.codec.kind(), b)
}

// lost turns a failed read or write into the reason for the end.
func (l *link) lost(err error) error {
	var c websocket.CloseError
	if !errors.As(err, &c) {
		return fmt.Errorf("connection to %s lost: %w", l.to.server, err)
	}
	closed := &Closed{Code: int(c.Code), Text: c.Reason}
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if l.refused != nil {
		return fmt.Errorf("%w: %w", closed, l.refused)
	}
	return closed
}

// close ends the connection in good form, but soon.
func (l *link) close(code websocket.StatusCode, text string) {
	t := time.AfterFunc(closing, func() { l.cancel(nil) })
	defer t.Stop()
	_ = l.ws.Close(code, text) // the node need not answer
}

func (l *link) hear() {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.heard, l.pinged = time.Now(), false
}

func (l *link) handle(f *messages.ServerFrame) {
	c, now := l.c, time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch x := f.Frame.(type) {
	case *messages.ServerFrame_Batch:
		c.receive(x.Batch, now)
	case *messages.ServerFrame_Done:
		c.answered(f.Id, answer{done: x.Done}, now)
	case *messages.ServerFrame_Error:
		l.onError(f.Id, failure(x.Error), now)
	case *messages.ServerFrame_Notice:
		switch x.Notice.Code {
		case "token_expiring":
			nudge(l.expiring)
		case "going_away":
			l.hint = readHint(x.Notice, l.to)
		}
	}
	nudge(c.wake)
}

// onError without a number is about the last frame, of which only a sign of
// activity expects none: then the device's session is gone.
func (l *link) onError(id uint64, e *Error, now time.Time) {
	if id != 0 {
		l.c.answered(id, answer{err: e}, now)
		return
	}
	l.refused = e
	if errors.Is(e, messages.ErrNoSession) && l.c.device != nil {
		_ = l.c.add(l.c.deviceCall()) // connected, so it is taken
	}
}

// receive takes a batch: what is new goes to the caller, all of it is
// acknowledged; c.mu is held.
func (c *Client) receive(b *messages.Batch, now time.Time) {
	r := &c.session.receiver
	if !r.Batch(b.Seq, now) {
		return
	}
	for _, it := range b.Items {
		if !c.watched[it.User] || !r.Apply(it.User, it.Version) {
			continue
		}
		p := shown(it, now)
		c.latest[it.User] = p
		c.feed.put(p)
	}
}
