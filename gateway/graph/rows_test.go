package graph_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/actors"
	"rollcall/presence"
)

// Known answers, in a small language. Steps are separated by ";":
//
//	set S A/B [DURATION] [STATUS]  setPresence for session S
//	clear S [STATUS]               clearPresence
//	prefer A/B [DURATION] [STATUS] setUserPreferredPresence; unprefer takes it back
//	calendar KIND, call N          what a mailbox and a call say; "-" ends it
//	manual TYPE, automatic TYPE, scheduled TYPE, unauto, unlocate
//	+5m                            time passes
//	= A/B                          what is read then
//	@ TYPE SOURCE                  the work location that is read then
//
// STATUS is 200 where it is left out, 204 for locations.
//
// "documented" rows follow Microsoft's pages; the others are marked with what
// they rest on.
var rows = map[string]string{
	"01 nothing is offline":                                      "= Offline/Offline",
	"02 available":                                               "set s Available/Available PT1H; = Available/Available",
	"03 just before the first fade":                              "set s Available/Available PT1H; +4m59s; = Available/Available",
	"04 first fade (the name is inferred)":                       "set s Available/Available PT1H; +5m; = AvailableIdle/Inactive",
	"05 just before the second fade":                             "set s Available/Available PT1H; +9m59s; = AvailableIdle/Inactive",
	"06 second fade":                                             "set s Available/Available PT1H; +10m; = Away/Away",
	"07 setting it again keeps it alive":                         "set s Available/Available PT1H; +10m; set s Available/Available PT1H; = Available/Available",
	"08 five minutes by default (expiry before fade, inferred)":  "set s Available/Available; +5m; = Offline/Offline",
	"09 less than five minutes (status inferred)":                "set s Available/Available PT4M 400; = Offline/Offline",
	"10 four hours":                                              "set s Available/Available PT4H; = Available/Available",
	"11 more than four hours (status inferred)":                  "set s Available/Available PT4H1M 400; = Offline/Offline",
	"12 only Available fades":                                    "set s Busy/InACall PT1H; +30m; = Busy/InACall",
	"13 expiry":                                                  "set s Busy/InACall PT1H; +1h; = Offline/Offline",
	"14 available beats away":                                    "set s Available/Available; set t Away/Away; = Available/Available",
	"15 an application cannot lower a client":                    "client Available/Available; set t Away/Away; = Available/Available",
	"16 busy beats available":                                    "set s Available/Available; set t Busy/InACall; = Busy/InACall",
	"17 do not disturb beats busy":                               "set s Busy/InACall; set t DoNotDisturb/Presenting; = DoNotDisturb/Presenting",
	"18 sessions fade one by one":                                "set s Available/Available PT1H; +11m; set t Available/Available PT1H; +1m; = Available/Available",
	"19 the less faded session shows (rank inferred)":            "set s Available/Available PT1H; +5m; set t Available/Available PT1H; +7m; = AvailableIdle/Inactive",
	"20 what is left when a session expires":                     "set s Available/Available PT5M; set t Away/Away PT1H; +5m; = Away/Away",
	"21 what is left when a session is cleared":                  "set s Busy/InACall; set t Available/Available; clear s; = Available/Available",
	"22 the only session cleared":                                "set s Available/Available; clear s; = Offline/Offline",
	"23 clearing an unknown session":                             "set s Available/Available; clear t 404; = Available/Available",
	"24 preferred without a session":                             "prefer DoNotDisturb/DoNotDisturb PT8H; = Offline/Offline",
	"25 preferred shows when a session appears":                  "prefer DoNotDisturb/DoNotDisturb PT8H; set s Available/Available; = DoNotDisturb/DoNotDisturb",
	"26 preferred beats sessions":                                "prefer Available/Available; set s Busy/InACall; = Available/Available",
	"27 preferred beats meeting and call":                        "set s Available/Available; calendar meeting; call 2; prefer DoNotDisturb/DoNotDisturb; = DoNotDisturb/DoNotDisturb",
	"28 preferred Busy within its day":                           "prefer Busy/Busy; +23h59m; set s Available/Available; = Busy/Busy",
	"29 preferred Busy after its day":                            "prefer Busy/Busy; +24h1m; set s Available/Available; = Available/Available",
	"30 preferred Away within its seven days":                    "prefer Away/Away; +167h; set s Available/Available; = Away/Away",
	"31 preferred Away after its seven days":                     "prefer Away/Away; +169h; set s Available/Available; = Available/Available",
	"32 appear offline":                                          "set s Available/Available; prefer Offline/OffWork; = Offline/OffWork",
	"33 preferred does not fade":                                 "set s Available/Available PT1H; prefer BeRightBack/BeRightBack; +11m; = BeRightBack/BeRightBack",
	"34 preferred cleared":                                       "set s Busy/InACall; prefer Away/Away; unprefer; = Busy/InACall",
	"35 a call is not to be preferred (status inferred)":         "set s Available/Available; prefer Busy/InACall PT1H 400; = Available/Available",
	"36 Busy/Busy is no session (status inferred)":               "set s Busy/Busy PT1H 400; = Offline/Offline",
	"37 a meeting is no session (status inferred)":               "set s Busy/InAMeeting PT1H 400; = Offline/Offline",
	"37b out of office is no session (status inferred)":          "set s Available/OutOfOffice PT1H 400; = Offline/Offline",
	"38 a meeting":                                               "set s Available/Available PT1H; calendar meeting; = Busy/InAMeeting",
	"39 the meeting ends":                                        "set s Available/Available PT1H; calendar meeting; calendar -; = Available/Available",
	"40 a meeting without a session (inferred)":                  "calendar meeting; = Offline/Offline",
	"41 a meeting of an idle user (inferred)":                    "set s Available/Available PT1H; +12m; calendar meeting; = BusyIdle/InAMeeting",
	"42 a call in a meeting (inferred)":                          "set s Available/Available; calendar meeting; call 2; = Busy/InACall",
	"43 a conference call":                                       "set s Available/Available; call 3; = Busy/InAConferenceCall",
	"44 a shared screen":                                         "set s Available/Available; call present; = DoNotDisturb/Presenting",
	"45 focus time (of two documented values)":                   "set s Available/Available; calendar focus; = DoNotDisturb/Focusing",
	"46 out of office":                                           "set s Available/Available; calendar oof; = Available/OutOfOffice; oof",
	"47 a call out of office (flag inferred)":                    "set s Busy/InACall; calendar oof; = Busy/InACall; oof",
	"48 out of office without a session (inferred)":              "calendar oof; = Offline/OutOfOffice; oof",
	"68 manual before automatic":                                 "manual office; automatic remote; @ office manual",
	"69 clearing automatic leaves manual":                        "manual office; automatic remote; unauto; @ office manual",
	"70 clearing the location leaves the schedule":               "scheduled remote; manual office; automatic timeOff; unlocate; @ remote scheduled",
	"beta page: presenting":                                      "set s DoNotDisturb/Presenting PT1H; = DoNotDisturb/Presenting",
	"values in any case":                                         "set s busy/inacall PT1H; = Busy/InACall",
	"names in lower camel case":                                  "set s doNotDisturb/presenting; = DoNotDisturb/Presenting",
	"no location":                                                "@ unspecified none",
	"location: automatic when nothing else is":                   "automatic office; @ office automatic",
	"location: time off, then nothing":                           "manual timeOff; @ timeOff manual; unlocate; @ unspecified none",
	"clearing preferred when there is none":                      "unprefer; = Offline/Offline",
	"preferred with a duration of its own":                       "set s Busy/InACall PT4H; prefer Away/Away PT1H; +59m; = Away/Away; +1m; = Busy/InACall",
	"preferred longer than a year (bound is ours)":               "prefer Away/Away P367D 400; prefer Away/Away P366D",
	"a duration in days":                                         "prefer Busy/Busy P0DT1H0M0S; set s Available/Available PT4H; +59m; = Busy/Busy; +1m; = Away/Away",
	"a session replaced":                                         "set s Busy/InACall PT4H; set s Available/Available PT5M; +5m; = Offline/Offline",
	"an unknown word is no state":                                "set s Available/Sleeping PT1H 400; set s Sleeping/Available PT1H 400; prefer Available/ PT1H 400",
	"a duration that is none":                                    "set s Available/Available 1h 400; set s Available/Available PT0S 400; set s Available/Available -PT1H 400; prefer Away/Away P1M 400",
	"a cleared session can be set again":                         "set s Away/Away; clear s; clear s 404; set s Away/Away; = Away/Away",
	"an expired session is not there to be cleared":              "set s Away/Away; +5m; clear s 404",
	"a preferred state ends while a session shows":               "set s Available/Available PT1H; prefer Busy/Busy PT7M; +7m; = AvailableIdle/Inactive",
	"the longest session by default for an hour's worth of fade": "set s Available/Available PT4H; +3h59m59s; = Away/Away; +1s; = Offline/Offline",
}

func TestRows(t *testing.T) {
	w := start(t)
	n := 0
	for name, script := range rows {
		n++
		u := &subject{world: w, app: w.app(home), guid: fmt.Sprintf("00000000-0000-4000-8000-%012d", n)}
		t.Run(name, func(t *testing.T) {
			for step := range strings.SplitSeq(script, ";") {
				if step = strings.TrimSpace(step); step != "" {
					u.step(t, step)
				}
			}
		})
	}
}

// subject is the user of one row.
type subject struct {
	*world
	app   caller
	guid  string
	steps int
}

func (u *subject) path(action string) string { return "/v1.0/users/" + u.guid + "/presence/" + action }

func (u *subject) step(t *testing.T, step string) {
	t.Helper()
	verb, rest, _ := strings.Cut(step, " ")
	args := append(strings.Fields(rest), "", "", "")
	id := userID(t, home, u.guid)
	if d, ok := strings.CutPrefix(verb, "+"); ok {
		passed, err := time.ParseDuration(d)
		if err != nil {
			t.Fatal(err)
		}
		u.pass(passed, id)
		return
	}
	switch verb {
	case "=", "@", "oof":
		u.read(t, verb, args)
	case "client", "calendar", "call", "scheduled":
		u.elsewhere(t, verb, args[0], id)
	default:
		u.steps++ // as another application: one may publish once a second
		u.app.app = fmt.Sprintf("app-%d", u.steps)
		u.act(t, verb, args)
	}
}

// act sends one of Graph's actions.
func (u *subject) act(t *testing.T, verb string, args []string) {
	t.Helper()
	want := map[string]int{"manual": 204, "automatic": 204, "unauto": 204, "unlocate": 204}[verb]
	if want == 0 {
		want = http.StatusOK
	}
	for i, a := range args {
		if n, err := strconv.Atoi(a); err == nil && n >= 400 {
			want, args[i] = n, ""
		}
	}
	r := u.app.post(u.request(verb, args))
	if want < 400 {
		done(t, r, want)
		return
	}
	if r.status != want {
		t.Fatalf("%s %v: %d %s, want %d", verb, args, r.status, r.body, want)
	}
}

func (u *subject) request(verb string, args []string) (path, body string) {
	switch verb {
	case "set":
		a, b, _ := strings.Cut(args[1], "/")
		return u.path("setPresence"), fmt.Sprintf(
			`{"sessionId":%q,"availability":%q,"activity":%q,"expirationDuration":%q}`, args[0], a, b, args[2])
	case "clear":
		return u.path("clearPresence"), fmt.Sprintf(`{"sessionId":%q}`, args[0])
	case "prefer":
		a, b, _ := strings.Cut(args[0], "/")
		return u.path("setUserPreferredPresence"), fmt.Sprintf(
			`{"availability":%q,"activity":%q,"expirationDuration":%q}`, a, b, args[1])
	case "unprefer":
		return u.path("clearUserPreferredPresence"), "{}"
	case "manual":
		return u.path("setManualLocation"), fmt.Sprintf(`{"workLocationType":%q,"placeId":"p1"}`, args[0])
	case "automatic":
		return u.path("setAutomaticLocation"), fmt.Sprintf(`{"workLocationType":%q}`, args[0])
	case "unauto":
		return u.path("clearAutomaticLocation"), ""
	case "unlocate":
		return u.path("clearLocation"), ""
	}
	panic("no step is called " + verb)
}

// elsewhere does what other surfaces publish.
func (u *subject) elsewhere(t *testing.T, verb, what string, id presence.UserID) {
	t.Helper()
	now := u.time()
	m := presence.Mutation{Op: presence.Put, Expires: now.Add(4 * time.Hour).UnixMilli()}
	switch verb {
	case "client":
		m.Key = presence.SessionKey("desktop")
		m.Value = presence.Session{Availability: presence.Available, Activity: presence.ActAvailable, Device: presence.Desktop}
	case "call":
		m.Key = presence.CallKey("c")
		parties, _ := strconv.Atoi(what)
		m.Value = presence.Call{Parties: parties, Presenting: what == "present"}
	case "scheduled":
		at, err := presence.ParseLocationType(what)
		if err != nil {
			t.Fatal(err)
		}
		m.Key, m.Value = presence.LocationKey(presence.Scheduled), presence.Location{Type: at}
	case "calendar":
		m.Key = presence.CalendarKey
		kinds := map[string]presence.EntryKind{"meeting": presence.Meeting, "focus": presence.Focus, "oof": presence.OutOfOffice}
		m.Value = presence.Calendar{Entries: []presence.Entry{{
			Kind: kinds[what], Start: now.Add(-time.Minute).UnixMilli(), End: now.Add(time.Hour).UnixMilli(),
		}}}
	}
	if what == "-" {
		m = presence.Mutation{Op: presence.Clear, Key: m.Key}
	}
	if _, err := u.actors.Publish(t.Context(), id, actors.Publish{Device: verb, Mutations: []presence.Mutation{m}}); err != nil {
		t.Fatal(err)
	}
}

func (u *subject) read(t *testing.T, verb string, args []string) {
	t.Helper()
	p := presenceOf(t, u.app.get("/v1.0/users/"+u.guid+"/presence"))
	switch verb {
	case "=":
		if p.pair() != args[0] {
			t.Fatalf("reads %s, want %s", p.pair(), args[0])
		}
	case "oof":
		if !p.OutOfOffice.Is {
			t.Fatal("isOutOfOffice is false")
		}
	case "@":
		if p.Location.Type != args[0] || p.Location.Source != args[1] {
			t.Fatalf("works at %+v, want %s from %s", p.Location, args[0], args[1])
		}
	}
}
