package client

import (
	"time"

	"rollcall/messages"
	"rollcall/presence"
)

// Presence is what a watched user shows. Somebody whom the viewer may not see is
// PresenceUnknown, somebody who has blocked the viewer is Offline.
type Presence struct {
	User         string // as the node calls it: see Client.Watch
	Version      presence.Version
	Availability presence.Availability
	Activity     presence.Activity
	Device       presence.Device
	LastActive   time.Time // zero when not said
	OutOfOffice  *OutOfOffice
	Note         *NoteShown
	Location     *LocationShown
	Received     time.Time // when this client got it
}

// OutOfOffice is there while the user is out of office; Message may be empty.
type OutOfOffice struct{ Message string }

// NoteShown is a status note; its times are there for the user's own note only.
type NoteShown struct {
	Text              string
	Pinned            bool
	Published, Expiry time.Time
}

// LocationShown is a work location and the layer that it comes from.
type LocationShown struct {
	Type    presence.LocationType
	Source  string // as the node says it: Manual, Automatic, Scheduled
	PlaceID string
}

// shown reads an item; availability and activity that this version does not
// know are PresenceUnknown, so that a newer node does not stop an older client.
func shown(it *messages.PresenceItem, now time.Time) Presence {
	p := Presence{
		User: it.User, Version: presence.Version(it.Version),
		LastActive: fromMillis(it.LastActive), Received: now,
	}
	p.Availability, _ = presence.ParseAvailability(it.Availability)
	p.Activity, _ = presence.ParseActivity(it.Activity)
	p.Device, _ = presence.ParseDevice(it.Device)
	if it.OutOfOffice {
		p.OutOfOffice = &OutOfOffice{it.OutOfOfficeMessage}
	}
	if n := it.Note; n.GetContent() != "" {
		p.Note = &NoteShown{n.Content, n.Pinned, fromMillis(n.Published), fromMillis(n.Expiry)}
	}
	if it.LocationSource != "" {
		p.Location = &LocationShown{Source: it.LocationSource, PlaceID: it.PlaceId}
		p.Location.Type, _ = presence.ParseLocationType(it.LocationType)
	}
	return p
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
