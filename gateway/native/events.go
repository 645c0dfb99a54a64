package native

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rollcall/actors"
	"rollcall/gateway/auth"
	"rollcall/gateway/front"
	"rollcall/gateway/wsconn"
	"rollcall/messages"
)

// events is one stream of server-sent events: the actors.Conn of an endpoint
// whose client cannot hold a socket. The client speaks by plain requests.
type events struct {
	api     *API
	out     *wsconn.Stream
	door    front.Door
	key     actors.EndpointKey
	session string // for the ids of events; set by Welcome
	lease   lease
}

func (a *API) serveEvents(w http.ResponseWriter, r *http.Request) {
	id, attach, err := a.eventsRequest(r)
	if err != nil {
		front.WriteError(w, err)
		return
	}
	door, ok := a.admit(w, r)
	if !ok {
		return
	}
	out, err := wsconn.HijackStream(w, r, http.Header{"Content-Type": {"text/event-stream"}})
	if err != nil {
		a.give(door)
		return
	}
	e := &events{api: a, out: out, door: door, key: attach.Key}
	e.lease.begin(e, a.front.Wheel, a.front.Now().Add(helloWithin))
	e.lease.live(id)
	a.register(e)
	attach.Conn = e
	go e.serve(attach)
}

// eventsRequest reads what a hello says from a request.
func (a *API) eventsRequest(r *http.Request) (*auth.Identity, actors.Attach, error) {
	var at actors.Attach
	id, err := a.front.Authenticate(r)
	if err == nil {
		err = streamer(id)
	}
	if err != nil {
		return nil, at, err
	}
	q := r.URL.Query()
	at.Key = actors.EndpointKey{User: id.User, ID: q.Get("endpoint")}
	if err := front.CheckEndpoint(at.Key.ID); err != nil {
		return nil, at, err
	}
	if at.Device, err = parseDevice(q.Get("device")); err != nil {
		return nil, at, err
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		session, seq, _ := strings.Cut(last, "/")
		if at.Ack, err = strconv.ParseUint(seq, 10, 64); err != nil {
			return nil, at, messages.ErrBadID.With("Last-Event-ID is not one of this service")
		}
		at.Session = session
	}
	return id, at, nil
}

// serve attaches the stream and waits for its end.
func (e *events) serve(attach actors.Attach) {
	defer e.api.leave(e)
	defer e.door.Leave()
	defer e.lease.end()
	ctx, cancel := context.WithTimeout(e.api.ctx, helloWithin)
	link, err := e.api.front.Actors.Attach(ctx, attach)
	cancel()
	if err != nil {
		e.event("error", "", plain(front.Body(front.Refusal(e.api.front.Actor(err)))))
		e.out.Close()
	}
	<-e.out.Done()
	if link != nil {
		link.Closed()
	}
}

// event queues one event. A client that lets the outbox overflow is too slow.
func (e *events) event(name, id string, data []byte) {
	err := built(func(b []byte) []byte {
		if id != "" {
			b = append(append(append(b, "id: "...), id...), '\n')
		}
		b = append(append(append(b, "event: "...), name...), '\n')
		return append(append(append(b, "data: "...), data...), "\n\n"...)
	}, e.out.Queue)
	if err != nil {
		e.out.Close()
	}
}

// Welcome is of actors.Conn.
func (e *events) Welcome(a actors.Attached) {
	e.session = a.Session
	e.event("welcome", "", plain(newWelcome(e.api.front, e.key, &a)))
}

// SendBatch is of actors.Conn.
func (e *events) SendBatch(seq uint64, updates []*actors.Update) {
	_ = built(func(b []byte) []byte {
		return append(appendBatch(append(b, '{'), seq, e.key.User.Tenant, updates), '}')
	}, func(data []byte) error {
		e.event("batch", e.session+"/"+strconv.FormatUint(seq, 10), data)
		return nil
	})
}

// Answer is of actors.Conn. A stream has no requests of its own.
func (e *events) Answer(uint64, actors.Answer) {}

// Flush is of actors.Conn.
func (e *events) Flush() { e.out.Flush() }

// Ping is of actors.Conn: a comment, which finds a connection that is gone.
func (e *events) Ping() {
	_ = e.out.Queue([]byte(":\n\n")) // a full outbox is as good a test
	e.out.Flush()
}

// LastHeard is of actors.Conn. The client cannot speak here: it counts as heard
// of as long as the connection stands. One that takes nothing ends by its write
// timeout.
func (e *events) LastHeard() time.Time { return e.api.front.Now() }

// Move is of actors.Conn.
func (e *events) Move(h actors.Hint) { e.event("notice", "", plain(goingAway(h))) }

// Close is of actors.Conn.
func (e *events) Close(r actors.CloseReason) {
	c := reasons[r]
	e.end(c.code, c.text)
}

// end says why in the words of a close frame, which event streams lack.
func (e *events) end(code uint16, text string) {
	e.event("close", "", plain(struct {
		Code   uint16 `json:"code"`
		Reason string `json:"reason"`
	}{code, text}))
	e.out.Close()
}

func (e *events) goAway(h actors.Hint) {
	e.Move(h)
	e.Close(actors.CloseGoingAway)
}

func (e *events) late() {}

func (e *events) expiring(d time.Duration) {
	e.event("notice", "", plain(expiringIn(d)))
	e.out.Flush()
}

func (e *events) expired() { e.end(codeAuth, auth.ErrExpired.Code) }
