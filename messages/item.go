package messages

import (
	"encoding/json"
	"time"

	"rollcall/presence"
)

// ItemJSON is one user's presence in the JSON subprotocol and in HTTP answers.
// Times are RFC 3339 in UTC.
type ItemJSON struct {
	User         string        `json:"user"`
	Version      string        `json:"version"`
	Availability string        `json:"availability"`
	Activity     string        `json:"activity"`
	Device       string        `json:"device,omitempty"`
	LastActive   string        `json:"lastActive,omitempty"`
	OutOfOffice  *OOFJSON      `json:"outOfOffice,omitempty"`
	Note         *NoteJSON     `json:"note,omitempty"`
	Location     *LocationJSON `json:"location,omitempty"`
	Forced       *ForcedJSON   `json:"forced,omitempty"`
}

// OOFJSON is there while the user is out of office.
type OOFJSON struct {
	Message string `json:"message,omitempty"`
}

// NoteJSON is the status note; its times are shown to its owner only.
type NoteJSON struct {
	Content   string `json:"content"`
	Pinned    bool   `json:"pinned,omitempty"`
	Published string `json:"published,omitempty"`
	Expiry    string `json:"expiry,omitempty"`
}

// LocationJSON is where the user works.
type LocationJSON struct {
	Type    string `json:"type"`
	Source  string `json:"source"`
	PlaceID string `json:"placeId,omitempty"`
}

// ForcedJSON is there, for the owner only, while a preferred presence is in
// force.
type ForcedJSON struct {
	Until string `json:"until,omitempty"`
}

// Item gives a state the form of the JSON subprotocol; user is how the viewer
// calls the publisher.
func Item(user string, v presence.Version, s presence.State) ItemJSON {
	it := ItemJSON{
		User: user, Version: v.String(),
		Availability: s.Availability.String(), Activity: s.Activity.String(),
		LastActive: rfc3339(s.LastActive),
	}
	if s.Device != presence.DeviceUnknown {
		it.Device = s.Device.String()
	}
	if s.OutOfOffice {
		it.OutOfOffice = &OOFJSON{s.OutOfOfficeMessage}
	}
	if n := s.Note; n.Content != "" {
		it.Note = &NoteJSON{n.Content, n.Pinned, rfc3339(n.Published), rfc3339(n.Expiry)}
	}
	if s.LocationSource != presence.SourceNone {
		it.Location = &LocationJSON{s.Location.Type.String(), s.LocationSource.String(), s.Location.PlaceID}
	}
	if s.Forced {
		it.Forced = &ForcedJSON{rfc3339(s.ForcedUntil)}
	}
	return it
}

func rfc3339(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// EncodeItemJSON renders Item once for all who get it.
func EncodeItemJSON(user string, v presence.Version, s presence.State) []byte {
	b, err := json.Marshal(Item(user, v, s))
	if err != nil {
		panic(err) // strings, booleans and nothing else: cannot fail
	}
	return b
}

// EncodeItem renders a state as an encoded PresenceItem.
func EncodeItem(user string, v presence.Version, s presence.State) []byte {
	it := ProtoItem(user, v, s)
	b, err := it.MarshalVT()
	if err != nil {
		panic(err) // a message without required fields cannot fail to encode
	}
	return b
}

// ProtoItem gives a state the form of the binary subprotocol.
func ProtoItem(user string, v presence.Version, s presence.State) *PresenceItem {
	it := &PresenceItem{
		User: user, Version: uint64(v), Availability: s.Availability.String(), Activity: s.Activity.String(),
		LastActive: s.LastActive, OutOfOffice: s.OutOfOffice, OutOfOfficeMessage: s.OutOfOfficeMessage,
		Note: FromNote(s.Note), PlaceId: s.Location.PlaceID,
	}
	if s.Device != presence.DeviceUnknown {
		it.Device = s.Device.String()
	}
	if s.LocationSource != presence.SourceNone {
		it.LocationType, it.LocationSource = s.Location.Type.String(), s.LocationSource.String()
	}
	return it
}
