package native

import (
	"net/http"

	"rollcall/actors"
	"rollcall/gateway/auth"
	"rollcall/gateway/front"
	"rollcall/messages"
	"rollcall/presence"
)

// serveBlocks lists whom the caller has blocked.
func (a *API) serveBlocks(w http.ResponseWriter, r *http.Request) {
	id, err := a.user(r, auth.PresenceRead|auth.PresenceReadAll|auth.PresenceReadWrite)
	if err != nil {
		front.WriteError(w, err)
		return
	}
	ctx, cancel := a.context(r)
	defer cancel()
	users, err := a.front.Actors.Blocks(ctx, id.User)
	if err != nil {
		front.WriteError(w, a.front.Actor(err))
		return
	}
	names := make([]string, len(users))
	for i, u := range users {
		names[i] = front.Name(u, id.Tenant)
	}
	front.WriteJSON(w, http.StatusOK, struct {
		Users []string `json:"users"`
	}{names})
}

// serveBlock adds a user to the caller's block list, or takes one off.
func (a *API) serveBlock(w http.ResponseWriter, r *http.Request) {
	if err := a.block(r); err != nil {
		front.WriteError(w, a.front.Actor(err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) block(r *http.Request) error {
	id, err := a.user(r, auth.PresenceReadWrite)
	if err != nil {
		return err
	}
	users, err := front.ParseTargets(id, []string{r.PathValue("user")}, 1, messages.ErrBadRequest)
	if err != nil {
		return err
	}
	if users[0] == id.User {
		return messages.ErrBadRequest.With("nobody can block themselves")
	}
	m := presence.Mutation{Op: presence.Put, Key: presence.BlockKey(users[0]), Value: presence.Block{}}
	if r.Method == http.MethodDelete {
		m = presence.Mutation{Op: presence.Clear, Key: m.Key}
	}
	ctx, cancel := a.context(r)
	defer cancel()
	p := actors.Publish{Device: "blocks", Mutations: []presence.Mutation{m}, Received: a.front.Now()}
	_, err = a.front.Actors.Publish(ctx, id.User, p)
	return err
}

// user authenticates a request that only a user can make.
func (a *API) user(r *http.Request, scopes auth.Scope) (*auth.Identity, error) {
	id, err := a.front.Authenticate(r)
	if err != nil {
		return nil, err
	}
	if id.Application {
		return nil, messages.ErrForbidden.With("this is a user's own, an application has none")
	}
	return id, front.Require(id, scopes)
}
