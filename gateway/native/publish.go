package native

import (
	"net/http"

	"rollcall/actors"
	"rollcall/gateway/front"
	"rollcall/presence"
)

// servePublish takes a source over HTTP. One of a client lives with the
// endpoint that it names.
func (a *API) servePublish(w http.ResponseWriter, r *http.Request) {
	version, err := a.publish(w, r)
	if err != nil {
		front.WriteError(w, a.front.Actor(err))
		return
	}
	front.WriteJSON(w, http.StatusOK, struct {
		Version string `json:"version"`
	}{version.String()})
}

func (a *API) publish(w http.ResponseWriter, r *http.Request) (presence.Version, error) {
	id, err := a.front.Authenticate(r)
	if err != nil {
		return 0, err
	}
	var body struct {
		front.Source
		Endpoint string `json:"endpoint"`
		Device   string `json:"device"`
	}
	if err := front.DecodeJSON(w, r, &body); err != nil {
		return 0, err
	}
	var link *actors.Link
	o := front.Origin{}
	if body.Source.Source == "client" && !id.Application {
		if link, err = a.front.Actors.EndpointOf(actors.EndpointKey{User: id.User, ID: body.Endpoint}); err != nil {
			return 0, err
		}
		o.Endpoint = body.Endpoint
		if o.Device, err = parseDevice(body.Device); err != nil {
			return 0, err
		}
	}
	user, p, err := a.front.Publication(id, &body.Source, o)
	if err != nil {
		return 0, err
	}
	ctx, cancel := a.context(r)
	defer cancel()
	if link != nil {
		return link.PublishWait(ctx, p)
	}
	s, err := a.front.Actors.Publish(ctx, user, p)
	return s.Version, err
}
