package front

import (
	"errors"
	"strings"
	"testing"
	"time"

	"rollcall/gateway/auth"
	"rollcall/messages"
	"rollcall/presence"
)

var nine = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// mutate reads a source as Publication does and applies it to an empty record.
func mutate(text string, o Origin) (presence.Mutation, presence.State, error) {
	var s Source
	if err := Decode([]byte(text), &s); err != nil {
		return presence.Mutation{}, presence.State{}, err
	}
	return apply(&s, o)
}

func apply(s *Source, o Origin) (presence.Mutation, presence.State, error) {
	kind, ok := sources[s.Source]
	if !ok {
		return presence.Mutation{}, presence.State{}, messages.ErrBadRequest
	}
	m, err := (&reading{Source: s, origin: o, now: nine}).mutation(kind)
	if err != nil {
		return m, presence.State{}, err
	}
	var r presence.Record
	if kind, _ := m.Key.Split(); kind != presence.KindSession { // shown only with a session
		session := presence.Session{Availability: presence.Available, Activity: presence.ActAvailable, Device: presence.Web}
		live := presence.Mutation{Op: presence.Put, Key: presence.SessionKey("x"), Value: session, Expires: nine.Add(time.Hour).UnixMilli()}
		if _, err := r.Apply([]presence.Mutation{live}, presence.Stamp{Version: 1, Node: 1}, nine); err != nil {
			return m, presence.State{}, err
		}
	}
	if _, err := r.Apply([]presence.Mutation{m}, presence.Stamp{Version: 2, Node: 1}, nine); err != nil {
		return m, presence.State{}, err
	}
	state, _ := presence.Aggregate(&r, nine, presence.DefaultRules)
	return m, state, nil
}

func TestSources(t *testing.T) {
	tab := Origin{Endpoint: "tab-1", Device: presence.Web}
	for name, tt := range map[string]struct {
		text    string
		key     presence.Key
		lasting time.Duration // 0: for ever
		shows   string
	}{
		"client": {`{"source":"client","availability":"Busy","activity":"InACall"}`,
			presence.SessionKey("tab-1"), 85 * time.Second, "Busy/InACall"},
		"client without activity, in any case": {`{"source":"client","availability":"bErightback"}`,
			presence.SessionKey("tab-1"), 85 * time.Second, "BeRightBack/BeRightBack"},
		"app": {`{"source":"app","key":"k","availability":"DoNotDisturb","activity":"Presenting","duration":"PT4H"}`,
			presence.AppSessionKey("k"), 4 * time.Hour, "DoNotDisturb/Presenting"},
		"app by default": {`{"source":"app","key":"k","availability":"Away"}`,
			presence.AppSessionKey("k"), 5 * time.Minute, "Away/Away"},
		"preferred": {`{"source":"preferred","availability":"DoNotDisturb"}`,
			presence.PreferredKey, 24 * time.Hour, "DoNotDisturb/DoNotDisturb"},
		"preferred away": {`{"source":"preferred","availability":"Away"}`,
			presence.PreferredKey, 7 * 24 * time.Hour, "Away/Away"},
		"preferred for a time": {`{"source":"preferred","availability":"Away","duration":"PT1M"}`,
			presence.PreferredKey, time.Minute, "Away/Away"},
		"appear offline": {`{"source":"preferred","availability":"Offline"}`,
			presence.PreferredKey, 7 * 24 * time.Hour, "Offline/OffWork"},
		"note": {`{"source":"note","note":"back at 3","pinned":true,"duration":"PT2H"}`,
			presence.NoteKey, 2 * time.Hour, "Available/Available note back at 3"},
		"note for ever": {`{"source":"note","note":"x"}`, presence.NoteKey, 0, "Available/Available note x"},
		"calendar": {`{"source":"calendar","entries":[{"kind":"meeting","start":"2026-11-22T08:00:00Z","end":"2026-11-22T11:00:00+01:00","message":""},
			{"kind":"outOfOffice","start":"2026-11-22T08:59:59.999Z","end":"2026-11-23T00:00:00Z","message":"away"}]}`,
			presence.CalendarKey, 0, "Busy/InAMeeting out away"},
		"call": {`{"source":"call","key":"c","parties":3}`, presence.CallKey("c"), 4 * time.Hour, "Busy/InAConferenceCall"},
		"call for a time": {`{"source":"call","key":"c","parties":2,"presenting":true,"duration":"PT1H"}`,
			presence.CallKey("c"), time.Hour, "DoNotDisturb/Presenting"},
		"location": {`{"source":"location","key":"Automatic","locationType":"office","placeId":"b1"}`,
			presence.LocationKey(presence.Automatic), 0, "Available/Available at Office b1"},
		"location by default": {`{"source":"location","locationType":"remote","duration":"P1D"}`,
			presence.LocationKey(presence.Manual), 24 * time.Hour, "Available/Available at Remote"},
	} {
		t.Run(name, func(t *testing.T) {
			m, state, err := mutate(tt.text, tab)
			if err != nil {
				t.Fatal(err)
			}
			var expires int64
			if tt.lasting > 0 {
				expires = nine.Add(tt.lasting).UnixMilli()
			}
			if m.Op != presence.Put || m.Key != tt.key || m.Expires != expires {
				t.Errorf("mutation %+v, want key %s until %d", m, tt.key, expires)
			}
			if got := show(state); got != tt.shows {
				t.Errorf("shows %q, want %q", got, tt.shows)
			}
		})
	}
}

func show(s presence.State) string {
	out := s.Availability.String() + "/" + s.Activity.String()
	if s.Note.Content != "" {
		out += " note " + s.Note.Content
	}
	if s.OutOfOffice {
		out += " out " + s.OutOfOfficeMessage
	}
	if s.LocationSource != presence.SourceNone {
		out = strings.TrimSpace(out + " at " + s.Location.Type.String() + " " + s.Location.PlaceID)
	}
	return out
}

func TestClear(t *testing.T) {
	for text, key := range map[string]presence.Key{
		`{"source":"client","clear":true}`:                     presence.SessionKey("tab-1"),
		`{"source":"app","key":"k","clear":true}`:              presence.AppSessionKey("k"),
		`{"source":"preferred","clear":true}`:                  presence.PreferredKey,
		`{"source":"note","clear":true}`:                       presence.NoteKey,
		`{"source":"note","note":""}`:                          presence.NoteKey,
		`{"source":"calendar","clear":true}`:                   presence.CalendarKey,
		`{"source":"call","key":"c","clear":true}`:             presence.CallKey("c"),
		`{"source":"location","key":"manual","clear":true}`:    presence.LocationKey(presence.Manual),
		`{"source":"location","key":"scheduled","clear":true}`: presence.LocationKey(presence.Scheduled),
	} {
		m, _, err := mutate(text, Origin{Endpoint: "tab-1"})
		if err != nil || m.Op != presence.Clear || m.Key != key {
			t.Errorf("%s: %+v, %v", text, m, err)
		}
	}
}

func TestSourcesRefuse(t *testing.T) {
	for text, code := range map[string]string{
		`{"source":"client","availability":"Busy"} no endpoint`: "bad_request",
		`{"source":"client"}`:                                                                                              "bad_state",
		`{"source":"client","availability":"Lunch"}`:                                                                       "bad_state",
		`{"source":"client","availability":"Busy","activity":"Lunch"}`:                                                     "bad_state",
		`{"source":"client","availability":"Offline"}`:                                                                     "bad_state",
		`{"source":"client","availability":"BusyIdle"}`:                                                                    "bad_state",
		`{"source":"app","availability":"Away"}`:                                                                           "bad_id",
		`{"source":"app","key":"a b","availability":"Away"}`:                                                               "bad_id",
		`{"source":"app","key":"k","availability":"Busy","activity":"Busy"}`:                                               "bad_state",
		`{"source":"app","key":"k","availability":"Away","duration":"PT4M59S"}`:                                            "bad_duration",
		`{"source":"app","key":"k","availability":"Away","duration":"PT4H1S"}`:                                             "bad_duration",
		`{"source":"app","key":"k","availability":"Away","duration":"4h"}`:                                                 "bad_duration",
		`{"source":"preferred","availability":"Busy","activity":"InACall"}`:                                                "bad_state",
		`{"source":"preferred","availability":"Away","duration":"P367D"}`:                                                  "bad_duration",
		`{"source":"note","note":"x","duration":"P367D"}`:                                                                  "bad_duration",
		`{"source":"note","note":"x","duration":"PT0S"}`:                                                                   "bad_duration",
		`{"source":"note","note":"` + strings.Repeat("x", 281) + `"}`:                                                      "bad_note",
		`{"source":"note","note":"a\u202eb"}`:                                                                              "bad_note",
		`{"source":"calendar","entries":[{"kind":"party"}]}`:                                                               "bad_request",
		`{"source":"calendar","entries":[{"kind":"meeting","start":"yesterday"}]}`:                                         "bad_json",
		`{"source":"calendar","entries":[{"kind":"meeting","start":"2026-11-22T09:00:00Z","end":"2026-11-22T09:00:00Z"}]}`: "bad_request",
		`{"source":"call","parties":2}`:                                                                                    "bad_id",
		`{"source":"call","key":"c","parties":-1}`:                                                                         "bad_request",
		`{"source":"call","key":"c","parties":2,"duration":"PT4H1S"}`:                                                      "bad_duration",
		`{"source":"location","key":"forced","locationType":"office"}`:                                                     "bad_id",
		`{"source":"location","locationType":"moon"}`:                                                                      "bad_request",
		`{"source":"location","locationType":"office","placeId":"` + strings.Repeat("x", 129) + `"}`:                       "bad_request",
	} {
		o := Origin{Endpoint: "tab-1"}
		text, without := strings.CutSuffix(text, " no endpoint")
		if without {
			o.Endpoint = ""
		}
		_, _, err := mutate(text, o)
		if err == nil || Refusal(err).Code != code {
			t.Errorf("%s: answered %v, want %s", text, err, code)
		}
	}
}

func TestWhoPublishes(t *testing.T) {
	home := presence.TenantID{1}
	alice := presence.UserID{Tenant: home, MRI: "8:alice"}
	user := &auth.Identity{User: alice, Tenant: home, Scopes: auth.PresenceReadWrite}
	reader := &auth.Identity{User: alice, Tenant: home, Scopes: auth.PresenceRead | auth.PresenceReadAll}
	app := func(s auth.Scope) *auth.Identity {
		return &auth.Identity{Tenant: home, App: "app", Application: true, Scopes: s}
	}
	other := presence.TenantID{2}.String() + "/8:alice"
	for name, tt := range map[string]struct {
		id      *auth.Identity
		source  string
		named   string
		refused error
	}{
		"a user itself":                      {user, "client", "", nil},
		"a user who names itself":            {user, "note", "8:alice", nil},
		"a user somebody else":               {user, "note", "8:bob", messages.ErrForbidden},
		"a user with a name that is none":    {user, "note", "alice", messages.ErrBadID},
		"a user without the scope":           {reader, "note", "", messages.ErrForbidden},
		"an app a calendar":                  {app(auth.SourcesWriteAll), "calendar", "8:alice", nil},
		"an app a note":                      {app(auth.PresenceReadWriteAll), "note", "8:alice", nil},
		"an app a note with the other scope": {app(auth.SourcesWriteAll), "note", "8:alice", messages.ErrForbidden},
		"an app a call with the other scope": {app(auth.PresenceReadWriteAll), "call", "8:alice", messages.ErrForbidden},
		"an app a client":                    {app(auth.PresenceReadWriteAll), "client", "8:alice", messages.ErrForbidden},
		"an app that only reads":             {app(auth.PresenceReadAll), "app", "8:alice", messages.ErrForbidden},
		"an app nobody":                      {app(auth.SourcesWriteAll), "call", "", messages.ErrBadID},
		"an app somebody of another tenant":  {app(auth.SourcesWriteAll), "call", other, messages.ErrForbidden},
		"an app somebody without presence":   {app(auth.SourcesWriteAll), "call", "4:+491", messages.ErrForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := publisher(tt.id, tt.named, sources[tt.source].app)
			if err != nil {
				err = messages.ErrorOf(err)
			}
			if !errors.Is(err, tt.refused) {
				t.Fatalf("answered %v, want %v", err, tt.refused)
			}
			if err == nil && u != alice {
				t.Errorf("publishes for %v", u)
			}
		})
	}
}

// Whatever a source says, reading it neither panics nor gives a change that the
// rules of presence refuse with anything but a refusal of theirs.
func FuzzSource(f *testing.F) {
	for _, s := range []string{
		`{"source":"client","availability":"Busy"}`, `{"source":"app","key":"k","availability":"Away","duration":"PT5M"}`,
		`{"source":"calendar","entries":[{"kind":"meeting","start":"2026-11-22T09:00:00Z","end":"9999-11-22T10:00:00Z"}]}`,
		`{"source":"call","key":"c","parties":-2147483648}`, `{"source":"location","locationType":"office","key":"manual"}`,
		`{"source":"note","note":"x","duration":"P366D"}`, `{"source":"preferred","availability":"Offline"}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, _, err := mutate(text, Origin{Endpoint: "tab-1", Device: presence.Web})
		if err != nil && Refusal(err).Code == messages.ErrInternal.Code {
			t.Fatalf("%s: %v", text, err)
		}
	})
}
