package graph

import (
	"net/http"
	"strings"

	"rollcall/gateway/auth"
	"rollcall/gateway/front"
	"rollcall/messages"
	"rollcall/presence"
)

// subject is the user that the path names. An id that is no GUID names nobody:
// Graph's presence takes no user principal name.
func (c *call) subject() (presence.UserID, error) {
	if c.me() {
		if c.caller.Application {
			return presence.UserID{}, &problem{
				status: http.StatusBadRequest, code: codeBadRequest, detail: messages.ErrBadRequest.Code,
				text: "/me is only there for a user's token, not for an application's.",
			}
		}
		return c.caller.User, nil
	}
	u, err := presence.OrgUser(c.caller.Tenant, c.id)
	if err != nil {
		return u, noUser(c.id)
	}
	return u, nil
}

func (c *call) me() bool { return strings.HasPrefix(c.name, "me") }

func noUser(id string) error {
	return &problem{
		status: http.StatusNotFound, code: codeNoResource, detail: front.ErrNotFound.Code,
		text: "Resource '" + clip(id) + "' does not exist, or is not given by its GUID.",
	}
}

// mayRead applies Graph's permissions for reading one presence.
func (c *call) mayRead(u presence.UserID) error {
	want := auth.PresenceReadAll
	switch {
	case c.caller.Application:
		want |= auth.PresenceReadWriteAll
	case u == c.caller.User:
		want |= auth.PresenceRead
	}
	return c.allowed(want)
}

// mayWrite applies Graph's permissions for changing a presence. A user's token
// writes its own user only; for another one the service was seen to answer 401.
func (c *call) mayWrite(u presence.UserID) error {
	if c.caller.Application {
		return c.allowed(auth.PresenceReadWriteAll)
	}
	if err := c.allowed(auth.PresenceReadWrite); err != nil {
		return err
	}
	if u != c.caller.User {
		return &problem{
			status: http.StatusUnauthorized, code: codeUnauthorized, detail: messages.ErrForbidden.Code,
			text: "A user's token cannot set another user's presence.",
		}
	}
	return nil
}

func (c *call) allowed(any auth.Scope) error {
	if c.caller.Scopes.Any(any) {
		return nil
	}
	return messages.ErrForbidden.With("The token has none of the permissions that this takes: " + any.String() + ".")
}
