package native

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"rollcall/actors"
	"rollcall/gateway/auth"
	"rollcall/gateway/front"
	"rollcall/messages"
	"rollcall/persistence"
)

// Heartbeat of a followed feed, and how long its reader may take nothing.
const (
	changesBeat    = 25 * time.Second
	changesTimeout = 10 * time.Second
)

// serveChanges writes a tenant's feed, one change a line, and with follow goes
// on with what comes.
func (a *API) serveChanges(w http.ResponseWriter, r *http.Request) {
	f, err := a.follow(r)
	if err != nil {
		front.WriteError(w, err)
		return
	}
	door, ok := a.admit(w, r)
	if !ok {
		return
	}
	defer a.give(door)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(a.ctx, cancel)()
	lines := &lines{w: w, rc: http.NewResponseController(w)}
	f.Each = lines.write
	err = a.notifications.Follow(ctx, f)
	switch {
	case lines.err != nil || ctx.Err() != nil:
	case err == nil:
		lines.begin()
	case lines.begun:
		lines.last(a.feedError(err))
	default:
		front.WriteError(w, a.feedError(err))
	}
}

func (a *API) follow(r *http.Request) (f actors.Follow, err error) {
	id, err := a.front.Authenticate(r)
	if err == nil {
		err = front.Require(id, auth.ChangesRead)
	}
	if err != nil {
		return f, err
	}
	q := r.URL.Query()
	f = actors.Follow{Tenant: id.Tenant, Live: q.Get("follow") == "true", Beat: changesBeat}
	switch after := q.Get("after"); after {
	case "":
		f.After = a.notifications.End(id.Tenant)
	case "start":
		f.After = a.notifications.Start(id.Tenant)
	default:
		if f.After, err = persistence.ParseToken(after); err != nil {
			return f, a.feedError(err)
		}
	}
	return f, nil
}

func (a *API) feedError(err error) error {
	switch {
	case errors.Is(err, persistence.ErrResync):
		return front.ErrResync
	case errors.Is(err, persistence.ErrToken):
		return messages.ErrBadID.With("after is not a token of this tenant's feed")
	}
	return a.front.Actor(err)
}

// lines is the body under way.
type lines struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	begun bool
	err   error // of writing
}

// begin sets the head, once.
func (l *lines) begin() {
	if l.begun {
		return
	}
	l.begun = true
	l.w.Header().Set("Content-Type", "application/x-ndjson")
	l.w.Header().Set("Cache-Control", "no-store")
	l.w.WriteHeader(http.StatusOK)
}

// write sends changes, or an empty line as a sign of life, and waits until the
// reader has room: a slow one waits for itself alone.
func (l *lines) write(changes []persistence.Change) error {
	l.begin()
	b := []byte("\n")
	if len(changes) > 0 {
		b = b[:0]
	}
	for _, c := range changes {
		line := plain(struct {
			Token string            `json:"token"`
			Item  messages.ItemJSON `json:"item"`
		}{c.Token.String(), messages.Item(c.User.MRI, c.Version, c.State.Public())})
		b = append(append(b, line...), '\n')
	}
	l.send(b)
	return l.err
}

func (l *lines) send(b []byte) {
	if l.err = l.rc.SetWriteDeadline(time.Now().Add(changesTimeout)); l.err != nil {
		return
	}
	if _, l.err = l.w.Write(b); l.err == nil {
		l.err = l.rc.Flush()
	}
}

// last ends a feed that cannot go on.
func (l *lines) last(err error) {
	b, _ := json.Marshal(struct {
		Error front.ErrorBody `json:"error"`
	}{front.Body(front.Refusal(err))}) // strings and a number
	l.send(append(b, '\n'))
}
