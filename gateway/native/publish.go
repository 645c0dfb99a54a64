package native

import (
	"net/http"

	"rollcall/actors"
	"rollcall/gateway/front"
)

// servePublish takes a source over HTTP. One of a client lives with the
// endpoint that it names.
func (a *API) servePublish(w http.ResponseWriter, r *http.Request) {
	s, err := a.publish(w, r)
	if err != nil {
		front.WriteError(w, a.front.Actor(err))
		return
	}
	front.WriteJSON(w, http.StatusOK, struct {
		Version    string `json:"version"`
		Durability int    `json:"durability"` // nodes that have stored it, 0 if it changed nothing
	}{s.Version.String(), s.Copies})
}

func (a *API) publish(w http.ResponseWriter, r *http.Request) (s actors.Snapshot, err error) {
	id, err := a.front.Authenticate(r)
	if err != nil {
		return s, err
	}
	var body struct {
		front.Source
		Endpoint string `json:"endpoint"`
		Device   string `json:"device"`
	}
	if err := front.DecodeJSON(w, r, &body); err != nil {
		return s, err
	}
	var link *actors.Link
	o := front.Origin{}
	if body.Source.Source == "client" && !id.Application {
		if link, err = a.front.Actors.EndpointOf(actors.EndpointKey{User: id.User, ID: body.Endpoint}); err != nil {
			return s, err
		}
		o.Endpoint = body.Endpoint
		if o.Device, err = parseDevice(body.Device); err != nil {
			return s, err
		}
	}
	user, p, err := a.front.Publication(id, &body.Source, o)
	if err != nil {
		return s, err
	}
	ctx, cancel := a.context(r)
	defer cancel()
	if link != nil {
		return link.PublishWait(ctx, p)
	}
	return a.front.Actors.Publish(ctx, user, p)
}
