package actors

import (
	"sync"

	"rollcall/messages"
	"rollcall/presence"
)

// Update is one publisher's state on its way to clients. One is shared by all
// endpoints that get it; each form of it is rendered once, by the first that
// needs it.
type Update struct {
	Publisher presence.UserID
	Version   presence.Version
	State     presence.State
	received  int64 // unix ns of the publish that caused it, 0 if none
	of        *publisher
	renders   [4]render
	wire      render
}

type render struct {
	once sync.Once
	b    []byte
}

// JSON is the update as an item of the JSON subprotocol for a viewer of the
// given tenant.
func (u *Update) JSON(viewer presence.TenantID) []byte {
	home := viewer == u.Publisher.Tenant
	r := &u.renders[index(home, 0)]
	r.once.Do(func() { r.b = messages.EncodeItemJSON(u.name(home), u.Version, u.State) })
	return r.b
}

// Proto is the update as an encoded messages.PresenceItem for a viewer of the given
// tenant.
func (u *Update) Proto(viewer presence.TenantID) []byte {
	home := viewer == u.Publisher.Tenant
	r := &u.renders[index(home, 1)]
	r.once.Do(func() { r.b = messages.EncodeItem(u.name(home), u.Version, u.State) })
	return r.b
}

// encoded is the state as it crosses between nodes.
func (u *Update) encoded() []byte {
	u.wire.once.Do(func() {
		var err error
		if u.wire.b, err = messages.FromState(u.State).MarshalVT(); err != nil {
			panic(err) // a state always fits
		}
	})
	return u.wire.b
}

func index(home bool, form int) int {
	if home {
		return form
	}
	return form + 2
}

// name is how the publisher is called towards a viewer: by MRI at home, with
// its tenant elsewhere.
func (u *Update) name(home bool) string {
	if home {
		return u.Publisher.MRI
	}
	return u.Publisher.String()
}

// size is about what the update takes in a batch.
func (u *Update) size() int {
	return 140 + len(u.Publisher.MRI) + len(u.State.Note.Content) + len(u.State.OutOfOfficeMessage) + len(u.State.Location.PlaceID)
}
