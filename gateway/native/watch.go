package native

import (
	"net/http"
	"strings"

	"rollcall/actors"
	"rollcall/gateway/auth"
	"rollcall/gateway/front"
	"rollcall/messages"
	"rollcall/trouter"
)

// watchChange reads a change of what an endpoint watches.
func (a *API) watchChange(id *auth.Identity, add, remove []string, replace bool) (c actors.WatchChange, err error) {
	c.Replace = replace
	if c.Add, err = a.front.Targets(id, add, front.MaxWatchCall, messages.ErrWatchLimit); err != nil {
		return c, err
	}
	c.Remove, err = front.ParseTargets(id, remove, front.MaxWatchCall, messages.ErrWatchLimit)
	return c, err
}

// serveWatch changes what an endpoint watches for a front end that is not its
// connection: the endpoint is named by its URL.
func (a *API) serveWatch(w http.ResponseWriter, r *http.Request) {
	answer, err := a.watchByURL(w, r)
	if err != nil {
		front.WriteError(w, a.front.Actor(err))
		return
	}
	if answer.Refused == nil {
		answer.Refused = []string{}
	}
	front.WriteJSON(w, http.StatusOK, struct {
		Watching int      `json:"watching"`
		Refused  []string `json:"refused"`
	}{answer.Watching, answer.Refused})
}

func (a *API) watchByURL(w http.ResponseWriter, r *http.Request) (actors.Answer, error) {
	id, err := a.front.Authenticate(r)
	if err == nil {
		err = streamer(id)
	}
	if err != nil {
		return actors.Answer{}, err
	}
	var body struct {
		URL     string   `json:"url"`
		Add     []string `json:"add"`
		Remove  []string `json:"remove"`
		Replace bool     `json:"replace"`
	}
	if err := front.DecodeJSON(w, r, &body); err != nil {
		return actors.Answer{}, err
	}
	address, err := a.address(body.URL)
	if err != nil {
		return actors.Answer{}, err
	}
	c, err := a.watchChange(id, body.Add, body.Remove, body.Replace)
	if err != nil {
		return actors.Answer{}, err
	}
	ctx, cancel := a.context(r)
	defer cancel()
	return a.front.Actors.WatchAt(ctx, id.User, address, c)
}

// address reads the URL of an endpoint, of this gateway or of another member.
func (a *API) address(url string) (trouter.Address, error) {
	address, err := trouter.ParseURL(url, a.front.Base)
	if err == nil {
		return address, nil
	}
	for _, m := range a.front.Actors.Table().Members {
		if m.URL == "" {
			continue
		}
		if address, err = trouter.ParseURL(url, m.URL); err == nil {
			return address, nil
		}
	}
	return address, messages.ErrBadID.With("url is not the URL of an endpoint of this service")
}

// endpoint finds the caller's own endpoint on this gateway by its URL.
func (a *API) endpoint(id *auth.Identity, url string) (*actors.Link, error) {
	address, err := a.address(url)
	if err != nil {
		return nil, err
	}
	return a.front.Actors.Endpoint(id.User, address)
}

// serveTrouter takes what is posted to an endpoint's own URL: acknowledgements.
func (a *API) serveTrouter(w http.ResponseWriter, r *http.Request) {
	if err := a.ack(w, r); err != nil {
		front.WriteError(w, a.front.Actor(err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) ack(w http.ResponseWriter, r *http.Request) error {
	id, err := a.front.Authenticate(r)
	if err == nil {
		err = streamer(id)
	}
	if err != nil {
		return err
	}
	if !strings.HasSuffix(r.URL.Path, "/ack") {
		return front.ErrNotFound
	}
	var body struct {
		Seq uint64 `json:"seq"`
	}
	if err := front.DecodeJSON(w, r, &body); err != nil {
		return err
	}
	link, err := a.endpoint(id, a.front.Base+r.URL.EscapedPath())
	if err != nil {
		return err
	}
	return link.Ack(body.Seq)
}
