package gateway_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/gateway"
	"rollcall/gateway/auth/devissuer"
	"rollcall/gateway/front"
	"rollcall/gateway/gatewaytest"
	"rollcall/persistence"
)

type reply struct {
	status int
	header http.Header
	body   string
}

// code is that of an error body, empty in any other answer.
func (r reply) code() string {
	var b struct{ Error front.ErrorBody }
	if json.Unmarshal([]byte(r.body), &b) != nil {
		return ""
	}
	return b.Error.Code
}

func call(t testing.TB, method, url, token, body string) reply {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return do(t, req)
}

func do(t testing.TB, req *http.Request) reply {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it is read
	var b bytes.Buffer
	if _, err := io.Copy(&b, res.Body); err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, b.String()}
}

func TestHealth(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	for _, base := range []string{n.URL, n.Admin} {
		for path, want := range map[string]string{"/livez": `{"status":"live"}`, "/readyz": `{"status":"ready"}`} {
			if r := call(t, http.MethodGet, base+path, "", ""); r.status != http.StatusOK || r.body != want {
				t.Errorf("%s%s: %d %s", base, path, r.status, r.body)
			}
		}
	}
}

func TestMetricsAndProfilesStayPrivate(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/cmdline"} {
		if r := call(t, http.MethodGet, n.Admin+path, "", ""); r.status != http.StatusOK {
			t.Errorf("%s: %d", path, r.status)
		}
		if r := call(t, http.MethodGet, n.URL+path, "", ""); r.status != http.StatusNotFound {
			t.Errorf("%s is public: %d", path, r.status)
		}
	}
	r := call(t, http.MethodGet, n.Admin+"/metrics", "", "")
	for _, name := range []string{
		"rollcall_publishes_total", "rollcall_visible_changes_total", "rollcall_deliveries_total", "rollcall_acknowledged_total",
		"rollcall_resends_total", "rollcall_queue_items", "rollcall_publish_ack_seconds_bucket", "rollcall_sockets",
		"rollcall_http_requests_total", "rollcall_socket_panics_total", "go_goroutines",
	} {
		if !strings.Contains(r.body, "\n"+name) {
			t.Errorf("no metric %s", name)
		}
	}
}

func TestAnswersHaveIDs(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	req, err := http.NewRequest(http.MethodGet, n.URL+"/v1/nothing", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("client-request-id", "mine-1")
	r := do(t, req)
	if r.status != http.StatusNotFound || r.code() != "not_found" || r.header.Get("client-request-id") != "mine-1" || len(r.header.Get("request-id")) != 32 {
		t.Errorf("%d %s %v", r.status, r.body, r.header)
	}
	req.Header.Set("client-request-id", "a b")
	if got := do(t, req).header.Get("client-request-id"); got != "" {
		t.Errorf("echoed %q", got)
	}
	if r := call(t, http.MethodPatch, n.URL+"/v1/publish", "", ""); r.status != http.StatusMethodNotAllowed ||
		r.code() != "method_not_allowed" || r.header.Get("Allow") != "POST" {
		t.Errorf("%d %s %q", r.status, r.body, r.header.Get("Allow"))
	}
}

func TestSurfacesAreMounted(t *testing.T) {
	graph := func(f *front.Front) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/beta/panic" {
				panic("SECRET")
			}
			if _, err := f.Authenticate(r); err != nil {
				front.WriteError(w, err)
				return
			}
			w.WriteHeader(http.StatusTeapot)
		})
	}
	n := gatewaytest.Start(t, gatewaytest.Options{Graph: graph})
	for _, path := range []string{"/v1.0/me/presence", "/beta/me/presence"} {
		if r := call(t, http.MethodGet, n.URL+path, n.User(t, "alice"), ""); r.status != http.StatusTeapot {
			t.Errorf("%s: %d", path, r.status)
		}
	}
	if r := call(t, http.MethodGet, n.URL+"/beta/panic", "", ""); r.status != http.StatusInternalServerError || r.code() != "internal" || strings.Contains(r.body, "SECRET") {
		t.Errorf("a panic was answered %d %s", r.status, r.body)
	}
	if r := call(t, http.MethodGet, n.Admin+"/metrics", "", ""); !strings.Contains(r.body, "\nrollcall_http_panics_total 1\n") {
		t.Error("the panic was not counted")
	}
	if r := call(t, http.MethodGet, n.URL+"/dev/token?user=alice", "", ""); r.status != http.StatusOK {
		t.Errorf("development token: %d %s", r.status, r.body)
	}
}

func policyURL(base string) string {
	return base + "/admin/v1/tenants/" + devissuer.HomeTenant.String() + "/policy"
}

func TestPolicyIsReadAndWritten(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	first := call(t, http.MethodGet, policyURL(n.Admin), n.App(t), "")
	const usual = `{"version":"A00000000000000000000","org":"","federation":"open","tenants":[],"privacyMode":false,` +
		`"idleAfter":"PT5M","awayAfter":"PT10M","grace":"PT15S","changeInterval":"PT2S","quotas":{"endpoints":20,` +
		`"watchesPerEndpoint":1000,"watchers":100000,"coalesceAt":10000,"devicePublishPerMinute":60,"devicePublishBurst":5,` +
		`"userPublishPerMinute":300,"userPublishBurst":20,"tenantPublishPerUser":20,"targetsPerHour":5000,"targetsPerDay":20000}}`
	if first.status != http.StatusOK || first.body != usual {
		t.Fatalf("%d %s", first.status, first.body)
	}
	guest := devissuer.GuestTenant.String()
	set := call(t, http.MethodPut, policyURL(n.URL), n.App(t), `{"federation":"allowList","tenants":["`+guest+`"],"org":"acme",
		"idleAfter":"PT1M","changeInterval":"PT0S","quotas":{"endpoints":3}}`)
	for _, want := range []string{
		`"federation":"allowList"`, guest, `"org":"acme"`, `"idleAfter":"PT1M"`, `"awayAfter":"PT10M"`, `"changeInterval":"PT0S"`,
		`"endpoints":3,"watchesPerEndpoint":1000`,
	} {
		if set.status != http.StatusOK || !strings.Contains(set.body, want) {
			t.Errorf("%d %s lacks %s", set.status, set.body, want)
		}
	}
	again := call(t, http.MethodGet, policyURL(n.Admin), n.App(t), "")
	if again.body != set.body || again.header.Get("ETag") == first.header.Get("ETag") {
		t.Errorf("read %s %s, set %s", again.header.Get("ETag"), again.body, set.body)
	}
	if r := call(t, http.MethodPut, policyURL(n.Admin), n.App(t), again.body); r.status != http.StatusOK { // what was read may be written
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestPolicyIsGuarded(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	guest, err := n.Issuer.AppToken(devissuer.GuestTenant, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		method, url, token, body string
		status                   int
		code, names              string
	}{
		"no token":              {"GET", policyURL(n.Admin), "", "", 401, "token_missing", ""},
		"a user":                {"GET", policyURL(n.Admin), n.User(t, "alice"), "", 403, "forbidden", ""},
		"another tenant's":      {"PUT", policyURL(n.URL), guest, "{}", 403, "forbidden", ""},
		"no tenant":             {"GET", n.Admin + "/admin/v1/tenants/x/policy", n.App(t), "", 400, "bad_id", ""},
		"no such path":          {"GET", n.Admin + "/admin/v1/tenants/x/y/policy", n.App(t), "", 404, "not_found", ""},
		"no such method":        {"POST", policyURL(n.Admin), n.App(t), "{}", 405, "method_not_allowed", ""},
		"unknown field":         {"PUT", policyURL(n.URL), n.App(t), `{"privacy":true}`, 400, "bad_json", "privacy"},
		"unknown federation":    {"PUT", policyURL(n.URL), n.App(t), `{"federation":"half"}`, 400, "bad_request", "federation"},
		"a tenant that is none": {"PUT", policyURL(n.URL), n.App(t), `{"tenants":["x"]}`, 400, "bad_id", "tenants"},
		"a time that is none":   {"PUT", policyURL(n.URL), n.App(t), `{"grace":"15"}`, 400, "bad_duration", "grace"},
		"a time out of bounds":  {"PUT", policyURL(n.URL), n.App(t), `{"grace":"PT1S"}`, 400, "bad_request", "grace"},
		"a quota above the top": {"PUT", policyURL(n.URL), n.App(t), `{"quotas":{"endpoints":21}}`, 400, "bad_request", "endpoints"},
	} {
		r := call(t, tt.method, tt.url, tt.token, tt.body)
		for ; r.code() == "rate_limited"; r = call(t, tt.method, tt.url, tt.token, tt.body) {
			<-time.After(50 * time.Millisecond) // the table is longer than the rate
		}
		if r.status != tt.status || r.code() != tt.code || !strings.Contains(r.body, tt.names) {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
}

func TestPolicyIfMatch(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	put := func(match string) reply {
		req, err := http.NewRequest(http.MethodPut, policyURL(n.Admin), strings.NewReader(`{"privacyMode":true}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+n.App(t))
		req.Header.Set("If-Match", match)
		return do(t, req)
	}
	old := call(t, http.MethodGet, policyURL(n.Admin), n.App(t), "").header.Get("ETag")
	if r := put(old); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := put(old); r.status != http.StatusPreconditionFailed || r.code() != "version_conflict" {
		t.Errorf("an old version: %d %s", r.status, r.body)
	}
	if r := put("*"); r.status != http.StatusOK {
		t.Errorf("any version: %d %s", r.status, r.body)
	}
}

// What came due while the node was down is announced after its start, without
// anybody asking.
func TestWakeUp(t *testing.T) {
	dir := t.TempDir()
	var moved time.Duration
	n := gatewaytest.Start(t, gatewaytest.Options{Dir: dir})
	token := n.User(t, "alice")
	for _, body := range []string{
		`{"source":"app","key":"a","availability":"Busy","activity":"InACall","duration":"PT5M"}`,
		`{"source":"app","key":"b","availability":"Available","duration":"PT1H"}`,
	} {
		if r := call(t, http.MethodPost, n.URL+"/v1/publish", token, body); r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	moved = 6 * time.Minute
	n = gatewaytest.Start(t, gatewaytest.Options{Dir: dir, Now: func() time.Time { return time.Now().Add(moved) }})
	want := `"activity":"Inactive"` // the call has ended, the other session has faded
	for deadline := time.Now().Add(patience); ; {
		r := call(t, http.MethodGet, n.URL+"/v1/changes?after=start", n.App(t), "")
		if strings.Contains(r.body, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the feed has no %s: %s", want, r.body)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	l, err := gateway.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_, err = gateway.Start(t.Context(), gateway.Config{ // neither verifier nor issuer
		Server: gateway.ServerConfig{Public: l}, Store: persistence.Config{Dir: t.TempDir(), Ballast: -1}, Base: "http://" + address,
	})
	if err == nil {
		t.Fatal("a node that cannot tell who calls has started")
	}
	if l, err = net.Listen("tcp", address); err != nil {
		t.Fatalf("the address is still taken: %v", err)
	}
	_ = l.Close() // nothing was done with it
}
