package graph_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// sound checks what holds for every answer: a status that is documented, and a
// body that is Graph's error object exactly where the status is an error's.
func sound(t *testing.T, r reply) {
	t.Helper()
	switch r.status {
	case 200, 204, 400, 401, 403, 404, 405, 413, 415, 429:
	default:
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r.status == 204 && len(r.body) > 0 {
		t.Fatalf("204 with %s", r.body)
	}
	if r.status >= 400 {
		e := decoded[graphError](t, r)
		if e.Error.Code == "" || e.Error.Message == "" || e.Error.Inner["request-id"] == "" {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
}

func FuzzAction(f *testing.F) {
	names := []string{
		"setPresence", "clearPresence", "setUserPreferredPresence", "clearUserPreferredPresence", "setStatusMessage",
		"setManualLocation", "setAutomaticLocation", "clearAutomaticLocation", "clearLocation",
	}
	for i, name := range names {
		f.Add(uint8(i), actions[name].body)
	}
	f.Add(uint8(0), `{"sessionId":"s","availability":"Away","activity":"Away","expirationDuration":"P0DT300S"}`)
	f.Add(uint8(4), status("2050-12-01T12:00:00.1234567", "Nepal Standard Time"))
	f.Add(uint8(4), status("9999-12-31T23:59:59", "UTC-11"))
	f.Add(uint8(9), idList(3))
	f.Add(uint8(0), `{"sessionId":null,"x":[[[[]]]]}`)
	w := start(f)
	alice := w.user("alice")
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		w.t = t
		w.pass(time.Second)
		path := "/v1.0/communications/getPresencesByUserId"
		if int(which) < len(names) {
			path = "/v1.0/me/presence/" + names[which]
		}
		sound(t, alice.post(path, body))
		own := alice.get("/v1.0/me/presence")
		p := presenceOf(t, own)
		if p.Availability == "PresenceUnknown" || p.ID != alice.user {
			t.Fatalf("the presence became %s", own.body)
		}
	})
}

func FuzzBatch(f *testing.F) {
	for _, seed := range []string{
		`{"requests":[{"id":"1","method":"GET","url":"/me/presence"}]}`,
		`{"requests":[{"id":"1","method":"POST","url":"/me/presence/setPresence","body":` + busy + `},{"id":"2","method":"GET","url":"me","dependsOn":["1"]}]}`,
		`{"requests":[{"id":"1","method":"POST","url":"/$batch","body":{"requests":[]}}]}`,
		`{"requests":[{"id":"1","method":"GET","url":"/me","dependsOn":["1"]}]}`,
		`{"requests":[{"id":"1","method":"POST","url":"/me/presence/clearLocation","headers":{"Content-Type":"text/plain"},"body":"x"}]}`,
		`{"requests":[{}]}`, `{"requests":null}`, `[]`, ``,
	} {
		f.Add(seed)
	}
	w := start(f)
	alice := w.user("alice")
	f.Fuzz(func(t *testing.T, body string) {
		w.t = t
		w.pass(time.Second)
		r := alice.post("/v1.0/$batch", body)
		sound(t, r)
		if r.status != http.StatusOK {
			return
		}
		var in struct{ Requests []struct{ ID string } }
		if err := json.Unmarshal([]byte(body), &in); err != nil {
			t.Fatalf("accepted: %q", body)
		}
		b := decoded[batchAnswer](t, r)
		if len(b.Responses) != len(in.Requests) {
			t.Fatalf("%d answers to %d requests", len(b.Responses), len(in.Requests))
		}
		for i, x := range b.Responses {
			if x.ID != in.Requests[i].ID || x.Status < 200 || x.Status >= 500 && x.Status != 501 {
				t.Fatalf("answer %d: %+v", i, x)
			}
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"/v1.0/me/presence", "/beta/users('x')/presence", "//v1.0//me", "/v1.0/users/%/presence", "/v1.0/users('", "",
		"/v1.0/communications/presences('')", "/v1.0/me/presence/setPresence/", "/v1.0/users(')/presence", "/V1.0/ME/\x00",
	} {
		f.Add("GET", seed)
		f.Add("POST", seed)
	}
	w := start(f)
	alice := w.user("alice")
	f.Fuzz(func(t *testing.T, method, path string) {
		w.t = t
		w.pass(time.Second)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, base, nil)
		r.Method, r.URL = strings.ToUpper(method), &url.URL{Path: path}
		r.Header.Set("Authorization", "Bearer "+alice.token())
		sound(t, w.serve(r))
	})
}
