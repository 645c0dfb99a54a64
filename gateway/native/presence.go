package native

import (
	"net/http"

	"rollcall/gateway/auth"
	"rollcall/gateway/front"
	"rollcall/messages"
	"rollcall/presence"
)

// servePresence reads users: named in the query, or in the body of a POST where
// a URL would be too long.
func (a *API) servePresence(w http.ResponseWriter, r *http.Request) {
	items, err := a.read(w, r)
	if err != nil {
		front.WriteError(w, a.front.Actor(err))
		return
	}
	front.WriteJSON(w, http.StatusOK, struct {
		Items []messages.ItemJSON `json:"items"`
	}{items})
}

func (a *API) read(w http.ResponseWriter, r *http.Request) ([]messages.ItemJSON, error) {
	id, err := a.front.Authenticate(r)
	if err != nil {
		return nil, err
	}
	users, err := a.asked(w, r, id)
	if err != nil {
		return nil, err
	}
	if err := readable(id, users); err != nil {
		return nil, err
	}
	if err := a.front.TakeQuery(id); err != nil {
		return nil, err
	}
	ctx, cancel := a.context(r)
	defer cancel()
	snapshots, err := a.front.Actors.ReadMany(ctx, front.Viewer(id), users)
	if err != nil {
		return nil, err
	}
	items := make([]messages.ItemJSON, len(snapshots))
	for i, s := range snapshots {
		items[i] = messages.Item(front.Name(s.User, id.Tenant), s.Version, s.State)
	}
	return items, nil
}

func (a *API) asked(w http.ResponseWriter, r *http.Request, id *auth.Identity) ([]presence.UserID, error) {
	names := r.URL.Query()["user"]
	if r.Method == http.MethodPost {
		var body struct {
			Users []string `json:"users"`
		}
		if err := front.DecodeJSON(w, r, &body); err != nil {
			return nil, err
		}
		names = body.Users
	}
	if len(names) == 0 {
		return nil, messages.ErrBadRequest.With("name at least one user")
	}
	return a.front.Targets(id, names, front.MaxRead, front.ErrTooManyIDs)
}

// readable checks the scopes of a read: one's own, or everybody's.
func readable(id *auth.Identity, users []presence.UserID) error {
	for _, u := range users {
		if u != id.User {
			return front.Require(id, auth.PresenceReadAll|auth.PresenceReadWriteAll)
		}
	}
	return front.Require(id, auth.PresenceRead|auth.PresenceReadAll)
}
