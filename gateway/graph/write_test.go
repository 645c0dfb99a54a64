package graph_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// actions are all writes with a body that each of them takes.
var actions = map[string]struct {
	body   string
	status int
}{
	"setPresence":                {busy, 200},
	"clearPresence":              {`{"sessionId":"app"}`, 200},
	"setUserPreferredPresence":   {`{"availability":"Away","activity":"Away"}`, 200},
	"clearUserPreferredPresence": {`{}`, 200},
	"setStatusMessage":           {`{"statusMessage":{"message":{"content":"x","contentType":"text"}}}`, 200},
	"setManualLocation":          {`{"workLocationType":"office","placeId":"p"}`, 204},
	"setAutomaticLocation":       {`{"workLocationType":"remote"}`, 204},
	"clearAutomaticLocation":     {``, 204},
	"clearLocation":              {``, 204},
}

func TestEveryActionByEveryPath(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	for _, version := range []string{"/v1.0", "/beta"} {
		for _, path := range []string{"/me/presence/", "/users/" + alice.user + "/presence/", "/communications/presences/" + alice.user + "/"} {
			for name, a := range actions {
				w.pass(2 * time.Second)
				if name == "clearPresence" {
					done(t, alice.post(version+path+"setPresence", busy), http.StatusOK)
				}
				if r := alice.post(version+path+name, a.body); r.status != a.status || len(r.body) > 0 {
					t.Errorf("%s%s%s: %d %s", version, path, name, r.status, r.body)
				}
			}
		}
	}
}

func TestWhoMayWrite(t *testing.T) {
	w := start(t)
	alice, bob := w.user("alice"), w.user("bob")
	for name, a := range actions {
		if name == "clearPresence" {
			continue // needs a session first; the same check
		}
		t.Run(name, func(t *testing.T) {
			w.pass(2 * time.Second)
			path := "/v1.0/users/" + alice.user + "/presence/" + name
			done(t, w.app(home).post(path, a.body), a.status)
			refused(t, bob.post(path, a.body), http.StatusUnauthorized, "Unauthorized", "another user's")
			refused(t, alice.with("Presence.Read Presence.Read.All").post(path, a.body),
				http.StatusForbidden, "Forbidden", "Presence.ReadWrite")
			refused(t, w.app(home).with("Presence.Read.All").post(path, a.body),
				http.StatusForbidden, "Forbidden", "Presence.ReadWrite.All")
			refused(t, w.app(home).with("Presence.Sources.ReadWrite.All").post(path, a.body),
				http.StatusForbidden, "Forbidden", "Presence.ReadWrite.All")
			refused(t, w.app(home).post("/v1.0/me/presence/"+name, a.body), http.StatusBadRequest, "BadRequest", "/me")
		})
	}
}

func TestWhoMayRead(t *testing.T) {
	w := start(t)
	alice, bob, app := w.user("alice"), w.user("bob"), w.app(home)
	own, other := "/v1.0/me/presence", "/v1.0/users/"+bob.user+"/presence"
	for name, tt := range map[string]struct {
		caller caller
		path   string
		status int
	}{
		"own with Presence.Read":                 {alice.with("Presence.Read"), own, 200},
		"own by id with Presence.Read":           {alice.with("Presence.Read"), "/v1.0/users/" + alice.user + "/presence", 200},
		"own with Presence.Read.All":             {alice.with("Presence.Read.All"), own, 200},
		"own with Presence.ReadWrite alone":      {alice.with("Presence.ReadWrite"), own, 403},
		"another with Presence.Read":             {alice.with("Presence.Read"), other, 403},
		"another with Presence.Read.All":         {alice.with("Presence.Read.All"), other, 200},
		"application with Presence.Read.All":     {app.with("Presence.Read.All"), other, 200},
		"application that may write":             {app.with("Presence.ReadWrite.All"), other, 200},
		"application without permission":         {app.with("Presence.Changes.Read.All"), other, 403},
		"application as me":                      {app, own, 400},
		"a token without any permission we know": {alice.with("User.Read"), own, 403},
		"a permission of another kind of token":  {alice.with("Presence.ReadWrite.All"), own, 403},
		"by user principal name":                 {alice, "/v1.0/users/bob@home.example/presence", 404},
		"no id":                                  {alice, "/v1.0/users//presence", 404},
		"an id that would be a path":             {alice, "/v1.0/communications/presences/..%2f..%2fme", 404},
	} {
		t.Run(name, func(t *testing.T) {
			if r := tt.caller.get(tt.path); r.status != tt.status {
				t.Fatalf("%d %s, want %d", r.status, r.body, tt.status)
			}
		})
	}
	const many = "/v1.0/communications/getPresencesByUserId"
	for _, c := range []caller{alice.with("Presence.Read"), app.with("Presence.ReadWrite.All")} {
		refused(t, c.post(many, idList(1)), http.StatusForbidden, "Forbidden", "Presence.Read.All")
	}
}

// TestBadParameters: each names its field, and nothing is changed.
func TestBadParameters(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	long := strings.Repeat("x", 281)
	for name, tt := range map[string]struct{ action, body, names string }{
		"no body":                   {"setPresence", "", "sessionId"},
		"no session":                {"setPresence", `{"availability":"Away","activity":"Away"}`, "sessionId"},
		"session with a slash":      {"setPresence", `{"sessionId":"a/b","availability":"Away","activity":"Away"}`, "sessionId"},
		"session of 129 bytes":      {"setPresence", `{"sessionId":"` + long[:129] + `","availability":"Away","activity":"Away"}`, "sessionId"},
		"session is a number":       {"setPresence", `{"sessionId":5,"availability":"Away","activity":"Away"}`, "sessionId"},
		"no availability":           {"setPresence", `{"sessionId":"s","activity":"Away"}`, "availability"},
		"no activity":               {"setPresence", `{"sessionId":"s","availability":"Away"}`, "activity"},
		"illegal pair":              {"setPresence", `{"sessionId":"s","availability":"Busy","activity":"Busy"}`, "activity"},
		"short duration":            {"setPresence", `{"sessionId":"s","availability":"Away","activity":"Away","expirationDuration":"PT4M59S"}`, "expirationDuration"},
		"clear without session":     {"clearPresence", "", "sessionId"},
		"preferred call":            {"setUserPreferredPresence", `{"availability":"Busy","activity":"InACall"}`, "activity"},
		"preferred unknown":         {"setUserPreferredPresence", `{"availability":"PresenceUnknown","activity":"PresenceUnknown"}`, "activity"},
		"preferred for months":      {"setUserPreferredPresence", `{"availability":"Away","activity":"Away","expirationDuration":"P1M"}`, "expirationDuration"},
		"status: none":              {"setStatusMessage", `{}`, "statusMessage"},
		"status: null":              {"setStatusMessage", `{"statusMessage":null}`, "statusMessage"},
		"status: no message":        {"setStatusMessage", `{"statusMessage":{}}`, "statusMessage"},
		"status: html":              {"setStatusMessage", `{"statusMessage":{"message":{"content":"x","contentType":"html"}}}`, "contentType"},
		"status: 281 characters":    {"setStatusMessage", `{"statusMessage":{"message":{"content":"` + long + `"}}}`, "content"},
		"status: control character": {"setStatusMessage", `{"statusMessage":{"message":{"content":"a\u0007"}}}`, "content"},
		"status: ends in the past":  {"setStatusMessage", status("2050-11-22T08:59:59", "UTC"), "expiryDateTime"},
		"status: ends now":          {"setStatusMessage", status("2050-11-22T09:00:00", "UTC"), "expiryDateTime"},
		"status: ends too late":     {"setStatusMessage", status("9999-12-31T23:59:59", "UTC-11"), "expiryDateTime"},
		"status: no time":           {"setStatusMessage", status("tomorrow", "UTC"), "dateTime"},
		"status: empty time":        {"setStatusMessage", status("", "UTC"), "dateTime"},
		"status: no such day":       {"setStatusMessage", status("2050-11-31T09:00:00", "UTC"), "dateTime"},
		"status: no such zone":      {"setStatusMessage", status("2050-11-23T09:00:00", "Middle Earth Time"), "timeZone"},
		"status: zone is a path":    {"setStatusMessage", status("2050-11-23T09:00:00", "../../etc/passwd"), "timeZone"},
		"status: the node's zone":   {"setStatusMessage", status("2050-11-23T09:00:00", "Local"), "timeZone"},
		"location: none":            {"setManualLocation", "", "workLocationType"},
		"location: unknown":         {"setAutomaticLocation", `{"workLocationType":"moon"}`, "workLocationType"},
		"location: long place":      {"setManualLocation", `{"workLocationType":"office","placeId":"` + long + `"}`, "placeId"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, alice.post("/v1.0/me/presence/"+tt.action, tt.body), http.StatusBadRequest, "BadRequest", tt.names)
		})
	}
	if p := presenceOf(t, alice.get("/v1.0/me/presence")); p.Sequence != nil {
		t.Fatalf("something was changed: %+v", p)
	}
}

func status(at, zone string) string {
	return `{"statusMessage":{"message":{"content":"x","contentType":"text"},"expiryDateTime":{"dateTime":"` + at + `","timeZone":"` + zone + `"}}}`
}

func TestTimeZones(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	for zone, want := range map[string]string{
		"UTC": "2050-12-01T12:00:00", "": "2050-12-01T12:00:00", "Pacific Standard Time": "2050-12-01T20:00:00",
		"pacific standard time": "2050-12-01T20:00:00", "India Standard Time": "2050-12-01T06:30:00",
		"Europe/Berlin": "2050-12-01T11:00:00", "W. Europe Standard Time": "2050-12-01T11:00:00",
		"Eastern Standard Time (Mexico)": "2050-12-01T17:00:00", "UTC-11": "2050-12-01T23:00:00",
		"Nepal Standard Time": "2050-12-01T06:15:00", "America/Argentina/Buenos_Aires": "2050-12-01T15:00:00",
	} {
		w.pass(time.Second)
		done(t, alice.post("/v1.0/me/presence/setStatusMessage", status("2050-12-01T12:00:00", zone)), http.StatusOK)
		s := presenceOf(t, alice.get("/v1.0/me/presence")).Status
		if got := strings.TrimSuffix(s.Expiry.DateTime, ".0000000"); got != want {
			t.Errorf("noon in %q is %s, want %s", zone, got, want)
		}
	}
	w.pass(time.Second)
	done(t, alice.post("/v1.0/me/presence/setStatusMessage", status("2050-12-01T12:00:00.5Z", "Pacific Standard Time")), http.StatusOK)
	if s := presenceOf(t, alice.get("/v1.0/me/presence")).Status; s.Expiry.DateTime != "2050-12-01T12:00:00.5000000" {
		t.Errorf("a time with a Z ends %s", s.Expiry.DateTime)
	}
}

func TestBodies(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	const path = "/v1.0/me/presence/setPresence"
	send := func(body []byte, headers ...string) reply {
		w.pass(time.Second)
		r := httptest.NewRequestWithContext(t.Context(), "POST", base+path, bytes.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+alice.token())
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return w.serve(r)
	}
	t.Run("without Content-Type", func(t *testing.T) { done(t, send([]byte(busy)), 200) })
	t.Run("gzip", func(t *testing.T) {
		done(t, send(packed(t, []byte(busy)), "Content-Encoding", "gzip", "Content-Type", "application/json"), 200)
	})
	t.Run("charset", func(t *testing.T) {
		done(t, send([]byte(busy), "Content-Type", "application/json; charset=utf-8"), 200)
	})
	t.Run("unknown fields are ignored", func(t *testing.T) {
		done(t, send([]byte(strings.Replace(busy, "{", `{"x":[{}],`, 1))), 200)
	})
	for name, tt := range map[string]struct {
		body    []byte
		headers []string
		status  int
		code    string
	}{
		"not gzip as it says":     {[]byte(busy), []string{"Content-Encoding", "gzip"}, 400, "BadRequest"},
		"another encoding":        {[]byte(busy), []string{"Content-Encoding", "br"}, 415, "UnsupportedMediaType"},
		"a form":                  {[]byte("a=b"), []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "UnsupportedMediaType"},
		"64 KiB and a byte":       {bytes.Repeat([]byte(" "), 64<<10+1), nil, 413, "RequestEntityTooLarge"},
		"a bomb":                  {packed(t, bytes.Repeat([]byte(" "), 10<<20)), []string{"Content-Encoding", "gzip"}, 413, "RequestEntityTooLarge"},
		"half a document":         {[]byte(`{"sessionId":`), nil, 400, "BadRequest"},
		"a name twice":            {[]byte(`{"sessionId":"a","sessionId":"b"}`), nil, 400, "BadRequest"},
		"something behind it":     {[]byte(busy + busy), nil, 400, "BadRequest"},
		"nested 17 deep":          {[]byte(strings.Repeat("[", 17) + strings.Repeat("]", 17)), nil, 400, "BadRequest"},
		"more than 2000 values":   {[]byte("[0" + strings.Repeat(",0", 2000) + "]"), nil, 400, "BadRequest"},
		"invalid UTF-8":           {[]byte("{\"sessionId\":\"\xff\"}"), nil, 400, "BadRequest"},
		"a list for an object":    {[]byte(`[]`), nil, 400, "BadRequest"},
		"a number out of measure": {[]byte(`{"x":` + strings.Repeat("1", 33) + `}`), nil, 400, "BadRequest"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, send(tt.body, tt.headers...), tt.status, tt.code, "") })
	}
}

func packed(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
