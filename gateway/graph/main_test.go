package graph_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"rollcall/actors"
	"rollcall/cluster/topology"
	"rollcall/copies"
	"rollcall/gateway/auth"
	"rollcall/gateway/auth/devissuer"
	"rollcall/gateway/front"
	"rollcall/gateway/graph"
	"rollcall/persistence"
	"rollcall/presence"
	"rollcall/trouter"
	"rollcall/wheel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	base     = "http://node.test"
	issuer   = "graph-test"
	audience = "rollcall"
	client   = "6f0f3c1e-6c1f-4f0e-a9be-00000000c11e"
)

// began lies ahead of the real time, at which a new wheel stands.
var began = time.Date(2050, 11, 22, 9, 0, 0, 0, time.UTC)

var (
	home  = devissuer.HomeTenant
	guest = devissuer.GuestTenant
)

// person of the demo directory, by login.
func person(t testing.TB, login string) devissuer.Person {
	t.Helper()
	p, ok := devissuer.Find(login)
	if !ok {
		t.Fatalf("nobody is called %s", login)
	}
	return p
}

// world is a node with a store, actors and the Graph API, on a clock that only
// the test moves.
type world struct {
	t      testing.TB
	actors *actors.System
	wheel  *wheel.Wheel
	http   http.Handler
	bare   http.Handler // without what is around every surface
	key    ed25519.PrivateKey

	mu  sync.Mutex
	now time.Time
}

func (w *world) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// pass lets time go on and waits until users have followed.
func (w *world) pass(d time.Duration, users ...presence.UserID) {
	w.t.Helper()
	w.mu.Lock()
	w.now = w.now.Add(d)
	w.mu.Unlock()
	w.wheel.Advance(w.time())
	for _, u := range users { // an empty publish is answered behind what is being stored
		if _, err := w.actors.Publish(w.t.Context(), u, actors.Publish{}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func start(t testing.TB) *world { return startWith(t, true) }

func startWith(t testing.TB, demo bool) *world {
	t.Helper()
	w := &world{t: t, now: began, wheel: wheel.New(wheel.DefaultTick, wheel.DefaultSlots)}
	w.wheel.Advance(began)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.key = private
	log := slog.New(slog.DiscardHandler)
	reg := prometheus.NewRegistry()
	store, err := persistence.Open(persistence.Config{
		Dir: t.TempDir(), NoSync: true, Ballast: -1, Log: log, Now: w.time, Registerer: reg,
		Fatal: func(err error) { t.Errorf("the store failed: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	self := topology.Member{ID: "n1", Incarnation: 1, Roles: topology.Gateway | topology.Presence}
	own, err := copies.New(copies.Config{Disk: store, Node: 1, Self: self, Ack: 2, Wheel: w.wheel, Now: w.time})
	if err != nil {
		t.Fatal(err)
	}
	w.actors, err = actors.New(actors.Config{
		Self: self, Seed: 1, Store: own, Copies: own, Log: log, Wheel: w.wheel, Now: w.time,
		Registerer: reg, Limits: trouter.DefaultLimits,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.actors.Close()
		own.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	verifier, err := auth.New(t.Context(), auth.Config{
		Keys: map[string][]crypto.PublicKey{issuer: {public}}, Audience: audience, Now: w.time,
	})
	if err != nil {
		t.Fatal(err)
	}
	f := front.New(front.Config{
		Actors: w.actors, Verifier: verifier, Base: base, Now: w.time, Wheel: w.wheel, Log: log, Registerer: reg,
	})
	w.bare = graph.New(graph.Config{Front: f, Demo: demo})
	w.http = f.Wrap(w.bare)
	return w
}

// caller is who asks; its zero scopes are all that its kind of token can have.
type caller struct {
	w      *world
	tenant presence.TenantID
	user   string // GUID; empty for an application
	app    string
	scopes string
}

// user of the demo directory, with every delegated permission.
func (w *world) user(login string) caller {
	p := person(w.t, login)
	return caller{w, p.Tenant, p.ID, client, "Presence.Read Presence.Read.All Presence.ReadWrite"}
}

// app is the application with every permission about presence.
func (w *world) app(tenant presence.TenantID) caller {
	return caller{w, tenant, "", client, "Presence.Read.All Presence.ReadWrite.All"}
}

// with is the same caller with other permissions.
func (c caller) with(scopes string) caller {
	c.scopes = scopes
	return c
}

// id is the user as the actors know it.
func (c caller) id() presence.UserID { return userID(c.w.t, c.tenant, c.user) }

func userID(t testing.TB, tenant presence.TenantID, guid string) presence.UserID {
	t.Helper()
	u, err := presence.OrgUser(tenant, guid)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (c caller) token() string {
	now := c.w.time()
	claims := map[string]any{
		"iss": issuer, "aud": audience, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"tid": c.tenant.String(), "appid": c.app,
	}
	if c.user == "" {
		claims["roles"], claims["idtyp"] = strings.Fields(c.scopes), "app"
	} else {
		claims["scp"], claims["oid"] = c.scopes, c.user
	}
	return c.w.sign(claims)
}

func (w *world) sign(claims map[string]any) string {
	body, err := json.Marshal(claims)
	if err != nil {
		w.t.Fatal(err)
	}
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(`{"alg":"EdDSA","typ":"JWT"}`)) + "." + enc.EncodeToString(body)
	return text + "." + enc.EncodeToString(ed25519.Sign(w.key, []byte(text)))
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// send makes a request; body is JSON text, or empty for none.
func (c caller) send(method, path, body string, headers ...string) reply {
	c.w.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(c.w.t.Context(), method, base+path, content)
	r.Header.Set("Authorization", "Bearer "+c.token())
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return c.w.serve(r)
}

func (w *world) serve(r *http.Request) reply {
	rec := httptest.NewRecorder()
	w.http.ServeHTTP(rec, r)
	return reply{rec.Code, rec.Header(), rec.Body.Bytes()}
}

func (c caller) get(path string) reply        { c.w.t.Helper(); return c.send("GET", path, "") }
func (c caller) post(path, body string) reply { c.w.t.Helper(); return c.send("POST", path, body) }

// decoded reads the body; it is the empty object where there is none.
func decoded[T any](t testing.TB, r reply) (v T) {
	t.Helper()
	if len(r.body) == 0 {
		return v
	}
	if kind := r.header.Get("Content-Type"); kind != "application/json" {
		t.Fatalf("Content-Type %q with a body", kind)
	}
	if err := json.NewDecoder(bytes.NewReader(r.body)).Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
	return v
}

// graphPresence is the resource as a client reads it.
type graphPresence struct {
	Context      string `json:"@odata.context"`
	ID           string `json:"id"`
	Availability string `json:"availability"`
	Activity     string `json:"activity"`
	OutOfOffice  struct {
		Message *string `json:"message"`
		Is      bool    `json:"isOutOfOffice"`
	} `json:"outOfOfficeSettings"`
	Status *struct {
		Message struct {
			Content string `json:"content"`
			Type    string `json:"contentType"`
		} `json:"message"`
		Expiry *struct {
			DateTime string `json:"dateTime"`
			TimeZone string `json:"timeZone"`
		} `json:"expiryDateTime"`
		Published string `json:"publishedDateTime"`
	} `json:"statusMessage"`
	Location struct {
		Type   string  `json:"workLocationType"`
		Source string  `json:"source"`
		Place  *string `json:"placeId"`
	} `json:"workLocation"`
	Sequence *string `json:"sequenceNumber"`
}

func (p graphPresence) pair() string { return p.Availability + "/" + p.Activity }

type graphError struct {
	Error struct {
		Code    string            `json:"code"`
		Message string            `json:"message"`
		Inner   map[string]string `json:"innerError"`
	} `json:"error"`
}

// refused checks an error's status, code and that it names what it is about.
func refused(t testing.TB, r reply, status int, code, names string) graphError {
	t.Helper()
	e := decoded[graphError](t, r)
	if r.status != status || e.Error.Code != code || !strings.Contains(e.Error.Message, names) {
		t.Fatalf("%d %s, want %d %s with %q", r.status, r.body, status, code, names)
	}
	if strings.Contains(e.Error.Message, "presence: ") {
		t.Fatalf("the message names a package: %s", e.Error.Message)
	}
	return e
}

// done checks the answer of an action: a status and nothing else.
func done(t testing.TB, r reply, status int) {
	t.Helper()
	if r.status != status || len(r.body) > 0 || r.header.Get("Content-Type") != "" {
		t.Fatalf("%d %q %s, want an empty %d", r.status, r.header.Get("Content-Type"), r.body, status)
	}
}

// presenceOf reads a presence that must be there.
func presenceOf(t testing.TB, r reply) graphPresence {
	t.Helper()
	if r.status != http.StatusOK {
		t.Fatalf("%d %s, want a presence", r.status, r.body)
	}
	return decoded[graphPresence](t, r)
}
