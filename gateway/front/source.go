package front

import (
	"fmt"
	"strings"
	"time"

	"rollcall/actors"
	"rollcall/gateway/auth"
	"rollcall/messages"
	"rollcall/presence"
)

// Source is what a publish says, in the words of the JSON protocol.
type Source struct {
	Source       string  `json:"source"`
	Key          string  `json:"key"`
	Clear        bool    `json:"clear"`
	Availability string  `json:"availability"`
	Activity     string  `json:"activity"`
	Duration     string  `json:"duration"`
	Note         string  `json:"note"`
	Pinned       bool    `json:"pinned"`
	Entries      []Entry `json:"entries"`
	Parties      int     `json:"parties"`
	Presenting   bool    `json:"presenting"`
	LocationType string  `json:"locationType"`
	PlaceID      string  `json:"placeId"`
	User         string  `json:"user"`
}

// Entry is one entry of a published calendar.
type Entry struct {
	Kind    string `json:"kind"`
	Start   Moment `json:"start"`
	End     Moment `json:"end"`
	Message string `json:"message"`
}

// Moment is unix ms; in JSON an RFC 3339 time.
type Moment int64

// UnmarshalJSON reads a time of the years 1 to 9999.
func (m *Moment) UnmarshalJSON(b []byte) error {
	t, err := time.Parse(`"`+time.RFC3339+`"`, string(b))
	if err != nil {
		return ErrBadJSON.With("times must be RFC 3339, as 2026-11-22T09:00:00Z")
	}
	*m = Moment(t.UnixMilli())
	return nil
}

// Origin is where a publish comes from: the endpoint whose session a "client"
// source sets, and its device.
type Origin struct {
	Endpoint string // empty: none, and "client" is refused
	Device   presence.Device
}

// maxLasting bounds notes and locations that end by themselves.
const maxLasting = presence.MaxPreferred

// source is how one kind of source is read and who may publish it.
type source struct {
	app  auth.Scope // what an application needs; none: users only
	read func(*reading) (presence.Mutation, error)
}

var sources = map[string]source{
	"client":    {0, (*reading).client},
	"app":       {auth.PresenceReadWriteAll | auth.SourcesWriteAll, (*reading).app},
	"preferred": {auth.PresenceReadWriteAll, (*reading).preferred},
	"note":      {auth.PresenceReadWriteAll, (*reading).note},
	"calendar":  {auth.SourcesWriteAll, (*reading).calendar},
	"call":      {auth.SourcesWriteAll, (*reading).call},
	"location":  {auth.PresenceReadWriteAll | auth.SourcesWriteAll, (*reading).location},
}

// Publication turns a source into what the user's actor is asked: whom it is
// about and the change. It checks the token's scopes, the form of every field
// and the tenant's budget. What the values may be is judged by package presence
// when they are applied, all but durations and text that are needed here.
func (f *Front) Publication(id *auth.Identity, s *Source, o Origin) (presence.UserID, actors.Publish, error) {
	kind, ok := sources[s.Source]
	if !ok {
		return presence.UserID{}, actors.Publish{}, messages.ErrBadRequest.With(
			"source must be one of client, app, preferred, note, calendar, call, location")
	}
	user, err := publisher(id, s.User, kind.app)
	if err != nil {
		return user, actors.Publish{}, messages.ErrorOf(err)
	}
	now := f.Now()
	m, err := (&reading{Source: s, origin: o, now: now}).mutation(kind)
	if err != nil {
		return user, actors.Publish{}, messages.ErrorOf(err)
	}
	if err := f.takePublish(user, now); err != nil {
		return user, actors.Publish{}, err
	}
	return user, actors.Publish{Device: device(id, o), Mutations: []presence.Mutation{m}, Received: now}, nil
}

// publisher is whose presence a publish is about: a user's own, or that of
// somebody of the application's tenant.
func publisher(id *auth.Identity, named string, app auth.Scope) (presence.UserID, error) {
	if !id.Application {
		if err := Require(id, auth.PresenceReadWrite); err != nil {
			return presence.UserID{}, err
		}
		if named == "" {
			return id.User, nil
		}
		u, err := presence.ParseTarget(named, id.Tenant)
		if err == nil && u != id.User {
			return u, messages.ErrForbidden.With("a user's token publishes for that user only")
		}
		return u, err
	}
	if app == 0 {
		return presence.UserID{}, messages.ErrForbidden.With("this source is published by users only")
	}
	if err := Require(id, app); err != nil {
		return presence.UserID{}, err
	}
	u, err := presence.ParseTarget(named, id.Tenant)
	if err != nil {
		return u, messages.ErrBadID.With("user must name whom the application publishes for")
	}
	if u.Tenant != id.Tenant || !u.Tracked() {
		return u, messages.ErrForbidden.With("an application publishes for users of its own tenant only")
	}
	return u, nil
}

// device names the source of a publish for the rate of one device.
func device(id *auth.Identity, o Origin) string {
	switch {
	case id.Application:
		return "app:" + id.App
	case o.Endpoint != "":
		return o.Endpoint
	}
	return "http:" + id.App
}

// reading is one source on its way to a mutation.
type reading struct {
	*Source
	origin Origin
	now    time.Time
}

func (r *reading) mutation(kind source) (presence.Mutation, error) {
	m, err := kind.read(r)
	if err != nil {
		return m, err
	}
	if r.Clear {
		return presence.Mutation{Op: presence.Clear, Key: m.Key}, nil
	}
	m.Op = presence.Put
	return m, nil
}

// lasting is the duration asked for; 0 when there is none.
func (r *reading) lasting() (time.Duration, error) {
	if r.Duration == "" {
		return 0, nil
	}
	return presence.ParseDuration(r.Duration)
}

// until is the end of a source that may last at most longest, by default for
// usual; usual 0 means that it need not end.
func (r *reading) until(usual, longest time.Duration) (int64, error) {
	d, err := r.lasting()
	if err != nil {
		return 0, err
	}
	if d == 0 {
		d = usual
	}
	if d > longest {
		return 0, fmt.Errorf("%s lasts at most %s: %w", r.Source.Source, presence.FormatDuration(longest), presence.ErrDuration)
	}
	if d == 0 {
		return 0, nil
	}
	return r.now.Add(d).UnixMilli(), nil
}

// pair reads availability and activity; the activity may be left out where
// there is a plain one of the availability's name.
func (r *reading) pair() (presence.Availability, presence.Activity, error) {
	a, err := presence.ParseAvailability(r.Availability)
	if err != nil {
		return 0, 0, messages.ErrBadPair.With("availability is missing or unknown")
	}
	name := r.Activity
	if name == "" {
		name = a.String()
	}
	act, err := presence.ParseActivity(name)
	if err != nil {
		return 0, 0, messages.ErrBadPair.With("activity is missing or unknown")
	}
	return a, act, nil
}

func (r *reading) client() (presence.Mutation, error) {
	m := presence.Mutation{Key: presence.SessionKey(r.origin.Endpoint)}
	if r.origin.Endpoint == "" {
		return m, messages.ErrBadRequest.With("a client source needs the endpoint that it lives with")
	}
	if r.Clear {
		return m, nil
	}
	a, act, err := r.pair()
	m.Value = presence.Session{Availability: a, Activity: act, Device: r.origin.Device, Leased: true}
	m.Expires = r.now.Add(actors.LeaseTime + actors.PingEvery).UnixMilli()
	return m, err
}

func (r *reading) app() (presence.Mutation, error) {
	m := presence.Mutation{Key: presence.AppSessionKey(r.Key)}
	if r.Key == "" {
		return m, messages.ErrBadID.With("an app source needs a key, the application's session id")
	}
	if r.Clear {
		return m, nil
	}
	a, act, err := r.pair()
	if err != nil {
		return m, err
	}
	d, err := r.lasting()
	if err == nil {
		d, err = presence.AppDuration(d)
	}
	m.Value = presence.Session{Availability: a, Activity: act, Device: presence.App, App: true}
	m.Expires = r.now.Add(d).UnixMilli()
	return m, err
}

func (r *reading) preferred() (presence.Mutation, error) {
	m := presence.Mutation{Key: presence.PreferredKey}
	if r.Clear {
		return m, nil
	}
	if r.Activity == "" && strings.EqualFold(r.Availability, "Offline") {
		r.Activity = "OffWork" // to appear offline is the only way to prefer it
	}
	a, act, err := r.pair()
	if err != nil {
		return m, err
	}
	d, err := r.lasting()
	if err == nil {
		d, err = presence.PreferredDuration(a, d)
	}
	m.Value = presence.Preferred{Availability: a, Activity: act}
	m.Expires = r.now.Add(d).UnixMilli()
	return m, err
}

// note without content removes the note, as an emptied input field does.
func (r *reading) note() (presence.Mutation, error) {
	m := presence.Mutation{Key: presence.NoteKey}
	if r.Clear = r.Clear || r.Note == ""; r.Clear {
		return m, nil
	}
	until, err := r.until(0, maxLasting)
	m.Value = presence.Note{Content: r.Note, Pinned: r.Pinned, Published: r.now.UnixMilli(), Expiry: until}
	m.Expires = until
	return m, err
}

func (r *reading) calendar() (presence.Mutation, error) {
	m := presence.Mutation{Key: presence.CalendarKey}
	c := presence.Calendar{Entries: make([]presence.Entry, len(r.Entries))}
	for i, e := range r.Entries {
		kind, err := presence.ParseEntryKind(e.Kind)
		if err != nil {
			return m, messages.ErrBadRequest.With(fmt.Sprintf("kind of entry %d must be meeting, focus or outOfOffice", i))
		}
		c.Entries[i] = presence.Entry{Kind: kind, Start: int64(e.Start), End: int64(e.End), Message: e.Message}
	}
	m.Value = c
	return m, nil
}

// maxCall is the longest time that a call counts without being published again.
const maxCall = 4 * time.Hour

func (r *reading) call() (presence.Mutation, error) {
	m := presence.Mutation{Key: presence.CallKey(r.Key)}
	if r.Key == "" {
		return m, messages.ErrBadID.With("a call needs a key, the call's id")
	}
	until, err := r.until(maxCall, maxCall)
	m.Value = presence.Call{Parties: r.Parties, Presenting: r.Presenting}
	m.Expires = until
	return m, err
}

func (r *reading) location() (presence.Mutation, error) {
	layers := map[string]presence.Layer{
		"": presence.Manual, "manual": presence.Manual, "automatic": presence.Automatic, "scheduled": presence.Scheduled,
	}
	layer, ok := layers[strings.ToLower(r.Key)]
	m := presence.Mutation{Key: presence.LocationKey(layer)}
	if !ok {
		return m, messages.ErrBadID.With("key of a location must be manual, automatic or scheduled")
	}
	if r.Clear {
		return m, nil
	}
	kind, err := presence.ParseLocationType(r.LocationType)
	if err != nil {
		return m, messages.ErrBadRequest.With("locationType must be office, remote or timeOff")
	}
	until, err := r.until(0, maxLasting)
	m.Value = presence.Location{Type: kind, PlaceID: r.PlaceID}
	m.Expires = until
	return m, err
}
