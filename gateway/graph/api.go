package graph

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/gateway/auth"
	"rollcall/gateway/front"
)

// Config of an API.
type Config struct {
	Front *front.Front // required
	// Demo lets the demo directory answer /me and /users. Without it a node
	// knows no people, only their presence.
	Demo bool
}

// API is an http.Handler for everything under /v1.0 and /beta. It is safe for
// concurrent use and has nothing to close.
type API struct {
	front  *front.Front
	demo   bool
	routes map[string]route
	apps   throttle
}

// New makes the API. It is mounted without stripping the prefix.
func New(c Config) *API { return &API{front: c.Front, demo: c.Demo, routes: table()} }

// answer is what a request comes to. A nil body is an empty one.
type answer struct {
	status int
	body   any
	header map[string]string
}

// trace are the ids under which client and service find a request again.
type trace struct{ request, client string }

// call is one request, by itself or out of a batch.
type call struct {
	context.Context
	caller  *auth.Identity
	trace   trace
	now     time.Time
	version string
	base    string // the public address with the version
	method  string
	name    string // the route's
	id      string // the one in the path, "" where it has none
	query   url.Values
	batched bool
	decode  func(into any) error // an absent body leaves into as it is
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{Context: r.Context(), trace: traceOf(w, r), now: a.front.Now(), method: r.Method, query: r.URL.Query()}
	c.decode = func(into any) error { return front.DecodeOptional(w, r, into) }
	var ans answer
	if err := a.admit(c, r); err != nil {
		ans = a.fail(c, err)
	} else {
		ans = a.serve(c)
	}
	write(w, c.trace, ans)
}

// admit finds the version, the route's name and the caller.
func (a *API) admit(c *call, r *http.Request) error {
	version, path, ok := splitVersion(r.URL.Path)
	if !ok {
		return noSegment(r.URL.Path)
	}
	c.version, c.base = version, a.front.Base+"/"+version
	c.name, c.id = resolve(path)
	caller, err := a.front.Authenticate(r)
	c.caller = caller
	return err
}

// serve answers an authenticated request.
func (a *API) serve(c *call) answer {
	ans, err := a.route(c)
	if err != nil {
		return a.fail(c, err)
	}
	return ans
}

func (a *API) route(c *call) (answer, error) {
	methods, ok := a.routes[c.name]
	if !ok {
		return answer{}, noSegment(c.name)
	}
	h, ok := methods[c.method]
	if !ok {
		return answer{}, noMethod(methods)
	}
	if c.name != batchRoute {
		if err := a.apps.admit(app{c.caller.Tenant, c.caller.App}, c.now); err != nil {
			return answer{}, err
		}
	}
	return h(a, c)
}

func noSegment(path string) error {
	last := path[strings.LastIndexByte(path, '/')+1:]
	return &problem{
		status: http.StatusNotFound, code: codeNoSegment, detail: front.ErrNotFound.Code,
		text: "Resource not found for the segment " + strconv.Quote(clip(last)) + ".",
	}
}

func noMethod(r route) error {
	p := problemOf(front.ErrMethod)
	p.allow = strings.Join(slices.Sorted(maps.Keys(r)), ", ")
	return p
}

// clip bounds what an answer repeats of a request.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 64)], "") }

func (a *API) fail(c *call, err error) answer {
	p := problemOf(err)
	ans := answer{status: p.status, body: p.body(c.trace, c.now), header: make(map[string]string)}
	if s := front.RetryAfter(p.retry); s != "" {
		ans.header["Retry-After"] = s
	}
	if p.status == http.StatusUnauthorized {
		ans.header["WWW-Authenticate"] = `Bearer realm="rollcall"`
	}
	if p.allow != "" {
		ans.header["Allow"] = p.allow
	}
	return ans
}

// write sends the answer. An empty one has no Content-Type: Graph's clients
// tell by it whether there is something to parse.
func write(w http.ResponseWriter, t trace, ans answer) {
	h := w.Header()
	h.Set("request-id", t.request)
	h.Set("client-request-id", t.client)
	h.Set("Cache-Control", "no-store")
	for name, value := range ans.header {
		h.Set(name, value)
	}
	if ans.body == nil {
		if ans.status != http.StatusNoContent {
			h.Set("Content-Length", "0")
		}
		w.WriteHeader(ans.status)
		return
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(ans.body); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(ans.status)
	_, _ = w.Write(b.Bytes()) // the caller is gone: nobody to tell
}

// maxTrace bounds the id that a client gives its request, in bytes.
const maxTrace = 128

// traceOf keeps the id that a middleware gave the request, if any.
func traceOf(w http.ResponseWriter, r *http.Request) trace {
	t := trace{request: w.Header().Get("request-id"), client: r.Header.Get("client-request-id")}
	if t.request == "" {
		t.request = newID()
	}
	if !printable(t.client) {
		t.client = t.request
	}
	return t
}

func printable(s string) bool {
	return s != "" && len(s) <= maxTrace && strings.IndexFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) < 0
}

// newID is a random UUID (RFC 9562, version 4).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var s [36]byte
	for i, part := range [][2]int{{0, 4}, {4, 6}, {6, 8}, {8, 10}, {10, 16}} {
		hex.Encode(s[2*part[0]+i:], b[part[0]:part[1]])
	}
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
