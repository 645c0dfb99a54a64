package graph_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/gateway/graph"
)

func TestWithoutAValidToken(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	old := alice.token()
	w.pass(2 * time.Hour)
	for name, authorization := range map[string]string{
		"none": "", "another scheme": "Basic YTpi", "rubbish": "Bearer abc", "expired": "Bearer " + old,
		"unsigned": "Bearer " + alice.token()[:40], "too large": "Bearer " + strings.Repeat("a", 8<<10+1),
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/v1.0/me/presence", "/beta/me", "/v1.0/$batch", "/v1.0/nothing"} {
				r := httptest.NewRequestWithContext(t.Context(), "GET", base+path, nil)
				if authorization != "" {
					r.Header.Set("Authorization", authorization)
				}
				got := w.serve(r)
				refused(t, got, http.StatusUnauthorized, "InvalidAuthenticationToken", "")
				if !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer") {
					t.Errorf("WWW-Authenticate %q", got.header.Get("WWW-Authenticate"))
				}
			}
		})
	}
}

func TestFormOfAnError(t *testing.T) {
	w := start(t)
	const own = "11111111-2222-4333-8444-555555555555"
	r := w.user("alice").send("GET", "/v1.0/me/drive", "", "client-request-id", own)
	e := refused(t, r, http.StatusNotFound, "ResourceNotFound", `"drive"`)
	in := e.Error.Inner
	if in["client-request-id"] != own || r.header.Get("client-request-id") != own {
		t.Errorf("client-request-id %q, in the header %q", in["client-request-id"], r.header.Get("client-request-id"))
	}
	if in["request-id"] == "" || in["request-id"] != r.header.Get("request-id") {
		t.Errorf("request-id %q, in the header %q", in["request-id"], r.header.Get("request-id"))
	}
	if in["date"] != "2050-11-22T09:00:00" {
		t.Errorf("date %q", in["date"])
	}
	other := w.user("alice").send("GET", "/v1.0/me/presence", "", "client-request-id", "two words\x01")
	if id := other.header.Get("client-request-id"); id != other.header.Get("request-id") || !plain.MatchString(id) {
		t.Errorf("an unfit id became %q", id)
	}
}

// TestRequestIDOfTheLog: the id that a request has in the log is the one that
// the client is told; without one the API makes its own.
func TestRequestIDOfTheLog(t *testing.T) {
	w := start(t)
	for _, given := range []string{"abc", ""} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", base+"/v1.0/me", nil)
		rec := httptest.NewRecorder()
		if given != "" {
			rec.Header().Set("request-id", given)
		}
		w.bare.ServeHTTP(rec, r)
		id := decoded[graphError](t, reply{rec.Code, rec.Header(), rec.Body.Bytes()}).Error.Inner["request-id"]
		if given != "" && id != given || given == "" && !plain.MatchString(id) || rec.Header().Get("request-id") != id {
			t.Errorf("the request with id %q is told %q", given, id)
		}
	}
}

var plain = regexp.MustCompile(`^[0-9a-f-]{32,36}$`)

func TestPathsAndMethodsThatAreNot(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	for _, path := range []string{
		"/v1.0", "/v1.0/", "/v2.0/me/presence", "/v1.0/me/presence/setpresence/again", "/v1.0/me/manager",
		"/v1.0/users/" + alice.user + "/presence/", // the slash at the end is none of its own
		"/v1.0/users('" + alice.user + "'/presence", "/v1.0/communications('x')/presences", "/v1.0/subscriptions",
	} {
		r := alice.get(path)
		if strings.HasSuffix(path, "presence/") {
			presenceOf(t, r)
			continue
		}
		refused(t, r, http.StatusNotFound, "ResourceNotFound", "segment")
	}
	for _, tt := range [][2]string{
		{"POST", "/v1.0/me/presence"}, {"GET", "/v1.0/me/presence/setPresence"}, {"GET", "/v1.0/$batch"},
		{"PATCH", "/v1.0/me/presence"}, {"DELETE", "/v1.0/users/" + alice.user}, {"GET", "/v1.0/communications/getPresencesByUserId"},
	} {
		r := alice.send(tt[0], tt[1], "")
		refused(t, r, http.StatusMethodNotAllowed, "MethodNotAllowed", "")
		if allow := r.header.Get("Allow"); allow == "" || allow == tt[0] {
			t.Errorf("%v: Allow %q", tt, allow)
		}
	}
}

// TestNodeThatShutsDown: clients repeat what is answered 503.
func TestNodeThatShutsDown(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	w.actors.Close()
	for _, r := range []reply{
		alice.get("/v1.0/me/presence"), alice.post("/v1.0/me/presence/setPresence", busy),
		alice.post("/v1.0/communications/getPresencesByUserId", idList(2)),
	} {
		e := refused(t, r, http.StatusServiceUnavailable, "ServiceUnavailable", "")
		if e.Error.Inner["code"] != "going_away" || r.header.Get("Retry-After") != "1" {
			t.Errorf("%s, Retry-After %q", r.body, r.header.Get("Retry-After"))
		}
	}
}

// TestThrottle is row 62: 1,500 requests of one application in one tenant are
// taken, the next is not; nobody else is concerned.
func TestThrottle(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	for i := range 1500 {
		if r := alice.get("/v1.0/me/presence"); r.status != http.StatusOK {
			t.Fatalf("request %d: %d %s", i+1, r.status, r.body)
		}
	}
	r := alice.get("/v1.0/me/presence")
	refused(t, r, http.StatusTooManyRequests, "TooManyRequests", "1500")
	wait, err := strconv.Atoi(r.header.Get("Retry-After"))
	if err != nil || wait < 1 {
		t.Fatalf("Retry-After %q", r.header.Get("Retry-After"))
	}
	refused(t, w.user("bob").get("/v1.0/me/presence"), http.StatusTooManyRequests, "TooManyRequests", "")
	other := alice
	other.app = "another"
	for name, c := range map[string]caller{"another application": other, "another tenant": w.user("dave")} {
		if r := c.get("/v1.0/me/presence"); r.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	w.pass(time.Duration(wait) * time.Second)
	if r := alice.get("/v1.0/me/presence"); r.status != http.StatusOK {
		t.Errorf("after Retry-After: %d %s", r.status, r.body)
	}
}

// TestThrottleIsBounded: those with their full allowance go first; where all
// are busy any one does.
func TestThrottleIsBounded(t *testing.T) {
	var th graph.Throttle
	add := func(from, n int, now time.Time) {
		t.Helper()
		for i := range n {
			if err := th.Admit(home, strconv.Itoa(from+i), now); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(0, graph.MaxApps, began)
	add(graph.MaxApps, 1, began)
	if n := th.Len(); n != graph.MaxApps {
		t.Fatalf("%d applications are remembered, at most %d", n, graph.MaxApps)
	}
	add(2*graph.MaxApps, 1, began.Add(time.Minute))
	if n := th.Len(); n != 1 {
		t.Fatalf("%d applications are remembered when all but one are idle", n)
	}
}

// TestPublishRate: six writes at once are one more than a source may.
func TestPublishRate(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	for range 5 {
		done(t, alice.post("/v1.0/me/presence/setPresence", busy), http.StatusOK)
	}
	r := alice.post("/v1.0/me/presence/setPresence", busy)
	e := refused(t, r, http.StatusTooManyRequests, "TooManyRequests", "")
	if e.Error.Inner["code"] != "publish_rate" || r.header.Get("Retry-After") != "1" {
		t.Fatalf("%s, Retry-After %q", r.body, r.header.Get("Retry-After"))
	}
	w.pass(time.Second)
	done(t, alice.post("/v1.0/me/presence/setPresence", busy), http.StatusOK)
}

func TestDirectory(t *testing.T) {
	w := start(t)
	alice, bob := w.user("alice"), person(t, "bob")
	type user struct {
		Context     string `json:"@odata.context"`
		ID          string `json:"id"`
		DisplayName string `json:"displayName"`
		Principal   string `json:"userPrincipalName"`
	}
	for path, want := range map[string]string{
		"/v1.0/me": alice.user, "/beta/me": alice.user, "/v1.0/users/" + bob.ID: bob.ID,
		"/v1.0/users/" + strings.ToUpper(bob.ID): bob.ID, "/v1.0/users/Bob@home.example": bob.ID,
	} {
		r := alice.get(path)
		u := decoded[user](t, r)
		if r.status != http.StatusOK || u.ID != want || u.DisplayName == "" || !strings.HasSuffix(u.Context, "#users/$entity") {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	list := decoded[struct{ Value []user }](t, alice.get("/v1.0/users"))
	if len(list.Value) != 3 {
		t.Errorf("%d people in a tenant of three", len(list.Value))
	}
	dave := person(t, "dave")
	for _, path := range []string{"/v1.0/users/" + dave.ID, "/v1.0/users/" + dave.Mail, "/v1.0/users/nobody"} {
		refused(t, alice.get(path), http.StatusNotFound, "Request_ResourceNotFound", "")
	}
	for _, path := range []string{"/v1.0/me/photo", "/v1.0/me/photo/$value", "/v1.0/users/" + bob.ID + "/photo/$value"} {
		refused(t, alice.get(path), http.StatusNotFound, "ImageNotFound", "")
	}
	refused(t, alice.get("/v1.0/users?$filter=x"), http.StatusBadRequest, "BadRequest", "$filter")
	refused(t, w.app(home).get("/v1.0/me"), http.StatusBadRequest, "BadRequest", "/me")
	refused(t, alice.with("User.Read").get("/v1.0/me"), http.StatusForbidden, "Authorization_RequestDenied", "")
}

func TestNoDirectoryOutsideDevelopment(t *testing.T) {
	w := startWith(t, false)
	alice := w.user("alice")
	for _, path := range []string{"/v1.0/me", "/v1.0/users", "/v1.0/users/" + alice.user} {
		refused(t, alice.get(path), http.StatusNotImplemented, "NotImplemented", "directory")
	}
	presenceOf(t, alice.get("/v1.0/me/presence"))
}
