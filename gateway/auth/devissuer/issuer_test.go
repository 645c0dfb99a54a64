package devissuer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/gateway/auth"
	"rollcall/gateway/auth/devissuer"
	"rollcall/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	audience = "api://rollcall"
	local    = "http://127.0.0.1:8080/dev"
)

func newIssuer(t *testing.T, keyFile, at string) *devissuer.Issuer {
	t.Helper()
	i, err := devissuer.New(devissuer.Config{KeyFile: keyFile, URL: at, Audience: audience})
	return must(t, i, err)
}

func inProcess(t *testing.T, i *devissuer.Issuer) *auth.Verifier {
	t.Helper()
	v, err := auth.New(context.Background(), auth.Config{Keys: i.Keys(), Audience: audience})
	return must(t, v, err)
}

func TestTokensSpeakForDemoUsers(t *testing.T) {
	i := newIssuer(t, "", local)
	v := inProcess(t, i)
	for _, p := range devissuer.Demo {
		t.Run(p.Login, func(t *testing.T) {
			raw, err := i.UserToken(p.Login, time.Hour)
			id, err2 := v.Verify(context.Background(), must(t, raw, err))
			must(t, id, err2)
			user, err := presence.OrgUser(p.Tenant, p.ID)
			if id.User != must(t, user, err) || id.Tenant != p.Tenant || id.Application || id.Name != p.DisplayName {
				t.Fatalf("identity %+v for %+v", id, p)
			}
			if want := auth.PresenceRead | auth.PresenceReadAll | auth.PresenceReadWrite; id.Scopes != want {
				t.Fatalf("scopes %s, want %s", id.Scopes, want)
			}
			if left := time.Until(id.Expires); left < time.Hour || left > time.Hour+2*time.Minute {
				t.Fatalf("expires in %s", left)
			}
		})
	}
	if _, err := i.UserToken("mallory", time.Hour); !errors.Is(err, devissuer.ErrUnknown) {
		t.Fatalf("error %v, want ErrUnknown", err)
	}
}

func TestApplicationTokenHasAllApplicationScopes(t *testing.T) {
	i := newIssuer(t, "", local)
	v := inProcess(t, i)
	want := auth.PresenceReadAll | auth.PresenceReadWriteAll | auth.SourcesWriteAll | auth.ChangesRead | auth.PolicyWrite
	for _, tenant := range []presence.TenantID{devissuer.HomeTenant, devissuer.GuestTenant} {
		raw, err := i.AppToken(tenant, time.Hour)
		id, err2 := v.Verify(context.Background(), must(t, raw, err))
		must(t, id, err2)
		if !id.Application || id.User != (presence.UserID{}) || id.Tenant != tenant || id.Scopes != want || id.App != devissuer.DemoApp {
			t.Fatalf("identity %+v", id)
		}
	}
	if _, err := i.AppToken(presence.TenantID{1}, time.Hour); !errors.Is(err, devissuer.ErrUnknown) {
		t.Fatalf("error %v, want ErrUnknown", err)
	}
}

func TestDirectory(t *testing.T) {
	logins, ids := map[string]bool{}, map[string]bool{}
	for _, p := range devissuer.Demo {
		if logins[p.Login] || ids[p.ID] || p.DisplayName == "" || p.JobTitle == "" || !strings.HasSuffix(p.Mail, ".example") {
			t.Errorf("entry %+v repeats another or lacks something", p)
		}
		logins[p.Login], ids[p.ID] = true, true
	}
}

func TestOverHTTPWithDiscovery(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	i := newIssuer(t, "", "http://"+server.Listener.Addr().String()+"/dev")
	server.Config.Handler = i.Handler()
	server.Start()
	defer server.Close()
	base := server.URL + "/dev"
	v, err := auth.New(context.Background(), auth.Config{Issuers: []string{base}, Audience: audience})
	must(t, v, err)

	fetch := map[string]func() (*http.Response, error){
		"GET": func() (*http.Response, error) { return server.Client().Get(base + "/token?user=alice") },
		"POST": func() (*http.Response, error) {
			return server.Client().PostForm(base+"/token", url.Values{"user": {"alice"}})
		},
		"app": func() (*http.Response, error) { return server.Client().Get(base + "/token?app=1") },
	}
	for name, ask := range fetch {
		t.Run(name, func(t *testing.T) {
			resp, err := ask()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }() // read only
			var got struct {
				Token   string `json:"access_token"`
				Type    string `json:"token_type"`
				Expires int    `json:"expires_in"`
			}
			if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			if got.Type != "Bearer" || got.Expires != 3600 || resp.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("answer %+v, %v", got, resp.Header)
			}
			id, err := v.Verify(context.Background(), got.Token)
			must(t, id, err)
			if id.Application != (name == "app") {
				t.Fatalf("identity %+v", id)
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	h := newIssuer(t, "", local).Handler()
	for name, tt := range map[string]struct {
		method, target, host string
		site                 string
		want                 int
	}{
		"good":                 {"GET", "/dev/token?user=bob", "localhost:8080", "", 200},
		"from the same page":   {"GET", "/dev/token?user=bob", "[::1]:8080", "same-origin", 200},
		"nobody":               {"GET", "/dev/token", "127.0.0.1", "", 400},
		"unknown user":         {"GET", "/dev/token?user=mallory", "127.0.0.1", "", 400},
		"user and application": {"GET", "/dev/token?user=bob&app=1", "127.0.0.1", "", 400},
		"user of a tenant":     {"GET", "/dev/token?user=bob&tenant=x", "127.0.0.1", "", 400},
		"application 2":        {"GET", "/dev/token?app=2", "127.0.0.1", "", 400},
		"tenant no UUID":       {"GET", "/dev/token?app=1&tenant=x", "127.0.0.1", "", 400},
		"tenant unknown":       {"GET", "/dev/token?app=1&tenant=" + devissuer.DemoApp, "127.0.0.1", "", 400},
		"rubbish query":        {"GET", "/dev/token?user=%zz", "127.0.0.1", "", 400},
		"a rebound name":       {"GET", "/dev/token?user=bob", "evil.example:8080", "", 403},
		"another site's page":  {"GET", "/dev/token?user=bob", "127.0.0.1", "cross-site", 403},
		"another local port":   {"GET", "/dev/token?user=bob", "127.0.0.1", "same-site", 403},
		"outside the base":     {"GET", "/token?user=bob", "127.0.0.1", "", 404},
		"another method":       {"PUT", "/dev/token?user=bob", "127.0.0.1", "", 405},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "http://placeholder/dev", nil)
			u, err := url.Parse(tt.target)
			r.URL, r.Host = must(t, u, err), tt.host
			if tt.site != "" {
				r.Header.Set("Sec-Fetch-Site", tt.site)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Fatalf("status %d, want %d: %s", w.Code, tt.want, w.Body)
			}
			if hasToken := strings.Contains(w.Body.String(), "access_token"); hasToken != (tt.want == 200) {
				t.Fatalf("answer %s", w.Body)
			}
		})
	}
}

func TestBodyIsLimited(t *testing.T) {
	h := newIssuer(t, "", local).Handler()
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/dev/token", strings.NewReader("user=bob&pad="+strings.Repeat("x", 5000)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest {
		t.Fatalf("status %d, want 400", w.Code)
	}
}

func TestKeySurvivesRestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dev.key")
	raw, err := newIssuer(t, file, local).UserToken("carol", time.Hour)
	must(t, raw, err)
	if _, err := inProcess(t, newIssuer(t, file, local)).Verify(context.Background(), raw); err != nil {
		t.Fatalf("after a restart: %v", err)
	}
	info, err := os.Stat(file)
	if mode := must(t, info, err).Mode().Perm(); mode != 0o600 {
		t.Fatalf("mode %v, want 0600", mode)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*"))
	if len(must(t, left, err)) != 1 {
		t.Fatalf("files left: %v", left)
	}
	if _, err := inProcess(t, newIssuer(t, "", local)).Verify(context.Background(), raw); !errors.Is(err, auth.ErrInvalid) {
		t.Fatalf("another key: %v, want ErrInvalid", err)
	}
}

func TestBadKeyFileIsLeftAlone(t *testing.T) {
	good := filepath.Join(t.TempDir(), "dev.key")
	newIssuer(t, good, local)
	data, err := os.ReadFile(good)
	must(t, data, err)
	for name, tt := range map[string]struct {
		data string
		mode os.FileMode
	}{
		"rubbish":            {"rubbish", 0o600},
		"empty":              {"", 0o600},
		"cut short":          {string(data[:len(data)/2]), 0o600},
		"readable by others": {string(data), 0o644},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "dev.key")
			if err := os.WriteFile(file, []byte(tt.data), tt.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := devissuer.New(devissuer.Config{KeyFile: file, URL: local, Audience: audience}); err == nil {
				t.Fatal("accepted")
			}
			after, err := os.ReadFile(file)
			if string(must(t, after, err)) != tt.data {
				t.Fatal("the file was changed")
			}
		})
	}
}

func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestIssuersOfOneNameAcceptEachOther(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	all := make([]*devissuer.Issuer, 4)
	var working sync.WaitGroup
	for i := range all { // the key is made by whoever is first
		working.Go(func() {
			all[i], _ = devissuer.New(devissuer.Config{KeyFile: file, URL: fmt.Sprintf("http://127.0.0.1:%d/dev", 8080+i), Name: "urn:one", Audience: audience})
		})
	}
	working.Wait()
	for _, from := range all {
		if from == nil {
			t.Fatal("an issuer could not be made")
		}
		raw, err := from.UserToken("alice", time.Hour)
		must(t, raw, err)
		for i, at := range all {
			if _, err := inProcess(t, at).Verify(context.Background(), raw); err != nil {
				t.Errorf("issuer %d: %v", i, err)
			}
		}
		if _, err := inProcess(t, newIssuer(t, file, local)).Verify(context.Background(), raw); err == nil {
			t.Error("an issuer of another name takes the token")
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".key-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
