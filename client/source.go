package client

import (
	"time"

	"rollcall/messages"
	"rollcall/presence"
)

// Source is one thing that can be said about a user; the types of this file are
// all there are. Sources stand side by side: the node makes one presence of all
// that are in force.
type Source interface {
	// frame is the source in the words of the protocol.
	frame() *messages.SourcePublish
}

// Device is the state of this client's own device. It lasts as long as the
// client is connected, and is published again after a reconnect that took
// longer than the node waits. Activity may be left out where the availability
// has a plain one of its name; the same goes for App and Preferred.
type Device struct {
	Availability presence.Availability
	Activity     presence.Activity
}

// App is the state that an application sees; it ends after Duration (5 minutes
// to 4 hours, 0 is 5 minutes) unless it is published again under the same Key.
type App struct {
	Key          string
	Availability presence.Availability
	Activity     presence.Activity
	Duration     time.Duration
}

// Preferred is what the user wants to show whatever the devices say. Duration 0
// is a day for Busy and DoNotDisturb and a week for the others. It shows only
// while some Device or App is there.
type Preferred struct {
	Availability presence.Availability
	Activity     presence.Activity
	Duration     time.Duration
}

// Note is the status note, up to 280 characters; Duration 0 keeps it until it is
// replaced.
type Note struct {
	Text     string
	Pinned   bool
	Duration time.Duration
}

// Calendar replaces the user's whole calendar, as far as presence reads it.
type Calendar struct{ Entries []Entry }

// Entry is a stretch of the calendar from Start until just before End. Message
// is the automatic reply of an OutOfOffice entry.
type Entry struct {
	Kind       presence.EntryKind
	Start, End time.Time
	Message    string
}

// Call is a call that the user takes part in; it ends after Duration (0 is 4
// hours, which is the most) or with Cleared.
type Call struct {
	Key        string
	Parties    int // the user too
	Presenting bool
	Duration   time.Duration
}

// Location is where the user works; a Manual one hides an Automatic one, which
// hides a Scheduled one. Duration 0 keeps it until it is replaced.
type Location struct {
	Layer    presence.Layer
	Type     presence.LocationType
	PlaceID  string
	Duration time.Duration
}

// Cleared takes back what the source said. Of App and Call only the Key counts,
// of Location the Layer, of the others nothing.
type Cleared struct{ Source Source }

// For names the user that an application publishes for; see Post. A user's own
// token publishes for nobody else.
type For struct {
	User   string
	Source Source
}

func (s Device) frame() *messages.SourcePublish {
	return &messages.SourcePublish{
		Source: "client", Availability: availability(s.Availability), Activity: activity(s.Activity),
	}
}

func (s App) frame() *messages.SourcePublish {
	return &messages.SourcePublish{
		Source: "app", Key: s.Key, DurationMs: s.Duration.Milliseconds(),
		Availability: availability(s.Availability), Activity: activity(s.Activity),
	}
}

func (s Preferred) frame() *messages.SourcePublish {
	return &messages.SourcePublish{
		Source: "preferred", DurationMs: s.Duration.Milliseconds(),
		Availability: availability(s.Availability), Activity: activity(s.Activity),
	}
}

func (s Note) frame() *messages.SourcePublish {
	return &messages.SourcePublish{
		Source: "note", DurationMs: s.Duration.Milliseconds(),
		Note: &messages.Note{Content: s.Text, Pinned: s.Pinned},
	}
}

func (s Calendar) frame() *messages.SourcePublish {
	c := &messages.Calendar{}
	for _, e := range s.Entries {
		c.Entries = append(c.Entries, &messages.CalendarEntry{
			Kind: uint32(e.Kind), Start: e.Start.UnixMilli(), End: e.End.UnixMilli(), Message: e.Message,
		})
	}
	return &messages.SourcePublish{Source: "calendar", Calendar: c}
}

func (s Call) frame() *messages.SourcePublish {
	return &messages.SourcePublish{
		Source: "call", Key: s.Key, DurationMs: s.Duration.Milliseconds(),
		Call: &messages.Call{Parties: uint32(max(s.Parties, 0)), Presenting: s.Presenting},
	}
}

func (s Location) frame() *messages.SourcePublish {
	return &messages.SourcePublish{
		Source: "location", Key: s.Layer.String(), DurationMs: s.Duration.Milliseconds(),
		LocationType: s.Type.String(), PlaceId: s.PlaceID,
	}
}

func (s Cleared) frame() *messages.SourcePublish {
	if s.Source == nil {
		return &messages.SourcePublish{Clear: true}
	}
	f := s.Source.frame()
	return &messages.SourcePublish{Source: f.Source, Key: f.Key, User: f.User, Clear: true}
}

func (s For) frame() *messages.SourcePublish {
	if s.Source == nil {
		return &messages.SourcePublish{User: s.User}
	}
	f := s.Source.frame()
	f.User = s.User
	return f
}

func availability(a presence.Availability) string {
	if a == presence.PresenceUnknown {
		return ""
	}
	return a.String()
}

func activity(a presence.Activity) string {
	if a == presence.ActPresenceUnknown {
		return ""
	}
	return a.String()
}
