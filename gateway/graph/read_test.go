package graph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/actors"
	"rollcall/presence"
)

func TestOnePresenceByEveryPath(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	done(t, alice.post("/v1.0/me/presence/setPresence", busy), http.StatusOK)
	upper := strings.ToUpper(alice.user)
	for path, context := range map[string]string{
		"/v1.0/me/presence":                                "/v1.0/$metadata#users('" + alice.user + "')/presence/$entity",
		"/v1.0/users/" + alice.user + "/presence":          "/v1.0/$metadata#users('" + alice.user + "')/presence/$entity",
		"/v1.0/users/" + upper + "/presence":               "/v1.0/$metadata#users('" + upper + "')/presence/$entity",
		"/v1.0/users('" + alice.user + "')/presence":       "/v1.0/$metadata#users('" + alice.user + "')/presence/$entity",
		"/v1.0/communications/presences/" + alice.user:     "/v1.0/$metadata#communications/presences/$entity",
		"/v1.0/Communications/Presences/" + alice.user:     "/v1.0/$metadata#communications/presences/$entity",
		"/v1.0/communications/presences('" + upper + "')/": "/v1.0/$metadata#communications/presences/$entity",
		"/beta/me/presence":                                "/beta/$metadata#users('" + alice.user + "')/presence/$entity",
		"/beta/communications/presences/" + alice.user:     "/beta/$metadata#communications/presences/$entity",
	} {
		p := presenceOf(t, alice.get(path))
		if p.pair() != "Busy/InACall" || p.Context != base+context {
			t.Errorf("%s: %s with %s", path, p.pair(), p.Context)
		}
		if want := alice.user; !strings.EqualFold(p.ID, want) || strings.Contains(path, upper) != (p.ID == upper) {
			t.Errorf("%s: id %s is not echoed as asked", path, p.ID)
		}
	}
}

const busy = `{"sessionId":"app","availability":"Busy","activity":"InACall","expirationDuration":"PT1H"}`

func TestFormOfAPresence(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	r := alice.get("/v1.0/me/presence")
	want := `{"@odata.context":"` + base + `/v1.0/$metadata#users('` + alice.user + `')/presence/$entity","id":"` + alice.user +
		`","availability":"Offline","activity":"Offline","outOfOfficeSettings":{"message":null,"isOutOfOffice":false},` +
		`"statusMessage":null,"workLocation":{"workLocationType":"unspecified","source":"none","placeId":null},"sequenceNumber":null}`
	if got := strings.TrimSpace(string(r.body)); got != want {
		t.Fatalf("%s\nwant %s", got, want)
	}
	if r.header.Get("Cache-Control") != "no-store" {
		t.Error("presence may be cached")
	}
}

func TestSequenceNumberRisesWithVisibleChangesOnly(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	read := func() string {
		p := presenceOf(t, alice.get("/v1.0/me/presence"))
		if p.Sequence == nil {
			return ""
		}
		return *p.Sequence
	}
	done(t, alice.post("/v1.0/me/presence/setPresence", busy), http.StatusOK)
	first := read()
	w.pass(time.Second)
	done(t, alice.post("/v1.0/me/presence/setPresence", busy), http.StatusOK)
	if again := read(); again != first || first == "" {
		t.Fatalf("%q, then %q after a change that nobody sees", first, again)
	}
	done(t, alice.post("/v1.0/me/presence/setPresence", strings.Replace(busy, "InACall", "InAConferenceCall", 1)), http.StatusOK)
	if next := read(); next <= first {
		t.Fatalf("%q, then %q after a visible change", first, next)
	}
}

func TestManyPresences(t *testing.T) {
	w := start(t)
	alice, bob, dave := w.user("alice"), w.user("bob"), w.user("dave")
	done(t, alice.post("/v1.0/me/presence/setPresence", busy), http.StatusOK)
	ids := []string{bob.user, strings.ToUpper(alice.user), dave.user, "alice@home.example", alice.user}
	body, err := json.Marshal(map[string]any{"ids": ids})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]caller{"a user": bob, "an application": w.app(home)} {
		t.Run(name, func(t *testing.T) {
			r := c.post("/v1.0/communications/getPresencesByUserId", string(body))
			if r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.body)
			}
			list := decoded[struct {
				Context string          `json:"@odata.context"`
				Value   []graphPresence `json:"value"`
			}](t, r)
			if want := base + "/v1.0/$metadata#Collection(microsoft.graph.presence)"; list.Context != want {
				t.Errorf("context %s", list.Context)
			}
			var got []string
			for i, p := range list.Value {
				got = append(got, p.pair())
				if p.ID != ids[i] {
					t.Errorf("entry %d is %s, asked was %s", i, p.ID, ids[i])
				}
			}
			// Dave's id is, within this tenant, that of a user nobody has heard of.
			want := []string{"Offline/Offline", "Busy/InACall", "Offline/Offline", "PresenceUnknown/PresenceUnknown", "Busy/InACall"}
			if !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

func idList(n int) string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf(`"00000000-0000-4000-9000-%012d"`, i)
	}
	return `{"ids":[` + strings.Join(ids, ",") + `]}`
}

func TestIDsOfOneQuery(t *testing.T) {
	w := start(t)
	bob := w.user("bob")
	const path = "/v1.0/communications/getPresencesByUserId"
	t.Run("61 650 ids", func(t *testing.T) {
		r := bob.post(path, idList(650))
		if got := decoded[struct{ Value []graphPresence }](t, r); r.status != http.StatusOK || len(got.Value) != 650 {
			t.Fatalf("%d with %d entries", r.status, len(got.Value))
		}
	})
	t.Run("61 651 ids (status inferred)", func(t *testing.T) {
		e := refused(t, bob.post(path, idList(651)), http.StatusBadRequest, "BadRequest", "ids")
		if e.Error.Inner["code"] != "too_many_ids" {
			t.Fatalf("inner code %q", e.Error.Inner["code"])
		}
	})
	t.Run("no ids at all", func(t *testing.T) {
		r := bob.post(path, `{"ids":[]}`)
		if r.status != http.StatusOK || !strings.Contains(string(r.body), `"value":[]`) {
			t.Fatalf("%d %s", r.status, r.body)
		}
	})
	for name, body := range map[string]string{
		"no body": "", "no list": "{}", "null": `{"ids":null}`, "an empty id": `{"ids":[""]}`,
		"an id of 129 bytes": `{"ids":["` + strings.Repeat("x", 129) + `"]}`,
		"a number":           `{"ids":[1]}`, "a text": `{"ids":"x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, bob.post(path, body), http.StatusBadRequest, "BadRequest", "ids")
		})
	}
}

// TestStatusMessage is row 56: the owner sees the times, others the text, and
// nobody anything after its end.
func TestStatusMessage(t *testing.T) {
	w := start(t)
	alice, bob := w.user("alice"), w.user("bob")
	w.pass(time.Date(2050, 11, 23, 1, 0, 0, 0, time.UTC).Sub(began)) // 17:00 in Pacific Standard Time
	done(t, alice.post("/v1.0/me/presence/setStatusMessage", `{"statusMessage":{
		"message":{"content":"Hey I'm currently in a <meeting>.","contentType":"text"},
		"expiryDateTime":{"dateTime":"2050-11-22T17:05:33.2079781","timeZone":"Pacific Standard Time"}}}`), http.StatusOK)
	w.pass(5*time.Minute, alice.id())

	own := presenceOf(t, alice.get("/v1.0/me/presence")).Status
	if own == nil || own.Expiry == nil {
		t.Fatal("the owner does not see the end")
	}
	if own.Message.Content != "Hey I'm currently in a <meeting>." || own.Message.Type != "text" {
		t.Errorf("message %+v", own.Message)
	}
	if got := own.Expiry.DateTime + " " + own.Expiry.TimeZone; got != "2050-11-23T01:05:33.2070000 UTC" {
		t.Errorf("ends %s", got)
	}
	if own.Published != "2050-11-23T01:00:00.000Z" {
		t.Errorf("published %s", own.Published)
	}
	for name, c := range map[string]caller{"another user": bob, "an application": w.app(home)} {
		r := c.get("/v1.0/users/" + alice.user + "/presence")
		s := presenceOf(t, r).Status
		if s == nil || s.Message.Content != own.Message.Content {
			t.Fatalf("%s does not see the message: %s", name, r.body)
		}
		if strings.Contains(string(r.body), "expiryDateTime") || strings.Contains(string(r.body), "publishedDateTime") {
			t.Errorf("%s sees times: %s", name, r.body)
		}
	}
	w.pass(34*time.Second, alice.id())
	for _, c := range []caller{alice, bob} {
		if s := presenceOf(t, c.get("/v1.0/users/"+alice.user+"/presence")).Status; s != nil {
			t.Fatalf("still there after its end: %+v", s)
		}
	}
}

func TestStatusMessageForEverAndCleared(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	set := func(content string) {
		t.Helper()
		w.pass(time.Second)
		done(t, alice.post("/beta/me/presence/setStatusMessage",
			fmt.Sprintf(`{"statusMessage":{"message":{"content":%q}}}`, content)), http.StatusOK)
	}
	set("away from the desk")
	w.pass(40*24*time.Hour, alice.id())
	s := presenceOf(t, alice.get("/v1.0/me/presence")).Status
	if s == nil || s.Expiry != nil || s.Message.Content != "away from the desk" {
		t.Fatalf("%+v", s)
	}
	set("")
	if s := presenceOf(t, alice.get("/v1.0/me/presence")).Status; s != nil {
		t.Fatalf("not cleared: %+v", s)
	}
}

// TestBlocked is row 57.
func TestBlocked(t *testing.T) {
	w := start(t)
	alice, bob, carol := w.user("alice"), w.user("bob"), w.user("carol")
	done(t, alice.post("/v1.0/me/presence/setPresence", busy), http.StatusOK)
	_, err := w.actors.Publish(t.Context(), alice.id(), actors.Publish{Device: "desktop", Mutations: []presence.Mutation{
		{Op: presence.Put, Key: presence.BlockKey(bob.id()), Value: presence.Block{}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for who, want := range map[*caller]string{&bob: "Offline/Offline", &carol: "Busy/InACall"} {
		p := presenceOf(t, who.get("/v1.0/users/"+alice.user+"/presence"))
		if p.pair() != want || (p.Sequence == nil) != (who == &bob) {
			t.Errorf("%s sees %+v, want %s", who.user, p, want)
		}
	}
}

// TestTenantsAreApart is about rows 58 to 60 as far as Graph can ask: an id is
// always one of the caller's own tenant.
func TestTenantsAreApart(t *testing.T) {
	w := start(t)
	alice, dave := w.user("alice"), w.user("dave")
	done(t, alice.post("/v1.0/me/presence/setPresence", busy), http.StatusOK)
	for _, c := range []caller{dave, w.app(guest)} {
		if p := presenceOf(t, c.get("/v1.0/users/"+alice.user+"/presence")); p.pair() != "Offline/Offline" {
			t.Fatalf("another tenant reads %s", p.pair())
		}
	}
	done(t, w.app(guest).post("/v1.0/users/"+alice.user+"/presence/clearUserPreferredPresence", ""), http.StatusOK)
	refused(t, w.app(guest).post("/v1.0/users/"+alice.user+"/presence/clearPresence", `{"sessionId":"app"}`),
		http.StatusNotFound, "NotFound", "session")
	if p := presenceOf(t, alice.get("/v1.0/me/presence")); p.pair() != "Busy/InACall" {
		t.Fatalf("another tenant's application changed it to %s", p.pair())
	}
}

func TestEnumerationGuard(t *testing.T) {
	w := start(t)
	p := w.actors.Policy(home)
	p.Quotas.TargetsHour = 5
	if _, err := w.actors.SetPolicy(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	r := w.user("bob").post("/v1.0/communications/getPresencesByUserId", idList(6))
	e := refused(t, r, http.StatusTooManyRequests, "TooManyRequests", "")
	if e.Error.Inner["code"] != "enumeration_guard" || r.header.Get("Retry-After") == "" {
		t.Fatalf("%s, Retry-After %q", r.body, r.header.Get("Retry-After"))
	}
	if r := w.app(home).post("/v1.0/communications/getPresencesByUserId", idList(6)); r.status != http.StatusOK {
		t.Fatalf("an application reads its tenant: %d %s", r.status, r.body)
	}
}
