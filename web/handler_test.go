package web_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"rollcall/web"
)

func get(t *testing.T, method, path string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:8080"+path, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	web.Handler().ServeHTTP(w, r)
	return w
}

func TestTypes(t *testing.T) {
	for path, want := range map[string]string{
		"/":                    "text/html; charset=utf-8",
		"/?as=alice":           "text/html; charset=utf-8",
		"/assets/app.js":       "text/javascript; charset=utf-8",
		"/assets/style.css":    "text/css; charset=utf-8",
		"/assets/icon.svg":     "image/svg+xml",
		"/assets/protocol.js":  "text/javascript; charset=utf-8",
		"/assets/presence.js?": "text/javascript; charset=utf-8",
	} {
		answer := get(t, http.MethodGet, path, nil)
		if answer.Code != http.StatusOK || answer.Header().Get("Content-Type") != want {
			t.Errorf("%s: %d, %q, want 200 and %q", path, answer.Code, answer.Header().Get("Content-Type"), want)
		}
		if answer.Body.String() == "" {
			t.Errorf("%s is empty", path)
		}
	}
}

func TestEveryAnswerIsProtected(t *testing.T) {
	for _, path := range []string{"/", "/assets/app.js", "/nothing"} {
		h := get(t, http.MethodGet, path, nil).Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options":     "nosniff",
			"X-Frame-Options":            "DENY",
			"Referrer-Policy":            "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin",
			"Cache-Control":              "no-cache",
		} {
			if got := h.Get(name); got != want && (path != "/nothing" || name != "Cache-Control") {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		checkPolicy(t, path, h.Get("Content-Security-Policy"))
	}
}

func checkPolicy(t *testing.T, path, policy string) {
	t.Helper()
	for _, want := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
		"frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'",
	} {
		if !strings.Contains(policy, want) {
			t.Errorf("%s: the policy lacks %q: %s", path, want, policy)
		}
	}
	for _, never := range []string{"unsafe", "*", "http:", "https:", "data:"} {
		if strings.Contains(policy, never) {
			t.Errorf("%s: the policy has %q: %s", path, never, policy)
		}
	}
}

func TestUnchangedFileIsNotSentAgain(t *testing.T) {
	first := get(t, http.MethodGet, "/assets/style.css", nil)
	tag := first.Header().Get("ETag")
	if tag == "" || tag == get(t, http.MethodGet, "/", nil).Header().Get("ETag") {
		t.Fatalf("ETag %q is missing or not the file's own", tag)
	}
	again := get(t, http.MethodGet, "/assets/style.css", http.Header{"If-None-Match": {tag}})
	if again.Code != http.StatusNotModified || again.Body.String() != "" {
		t.Fatalf("%d with a body, want 304 without", again.Code)
	}
	other := get(t, http.MethodGet, "/assets/style.css", http.Header{"If-None-Match": {`"another"`}})
	if other.Code != http.StatusOK {
		t.Fatalf("%d for another version, want 200", other.Code)
	}
}

func TestHeadSendsNoBody(t *testing.T) {
	answer := get(t, http.MethodHead, "/", nil)
	if answer.Code != http.StatusOK || answer.Header().Get("Content-Length") == "" || answer.Body.String() != "" {
		t.Fatalf("%d, length %q", answer.Code, answer.Header().Get("Content-Length"))
	}
}

func TestWhatIsNotThere(t *testing.T) {
	for _, path := range []string{
		"/nothing", "/assets", "/assets/", "/assets/nothing.js", "/assets/index.html", "/assets/../handler.go",
		"//", "/assets//app.js", "/assets/%00", "/handler.go", "/index.html",
	} {
		if answer := get(t, http.MethodGet, path, nil); answer.Code != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, answer.Code)
		}
	}
}

func TestOnlyReading(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, "BREW"} {
		answer := get(t, method, "/", nil)
		if answer.Code != http.StatusMethodNotAllowed || answer.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, Allow %q", method, answer.Code, answer.Header().Get("Allow"))
		}
	}
}

var (
	reference = regexp.MustCompile(`(?:src|href)="(/[^"]*)"`)
	imported  = regexp.MustCompile(`from '\./([^']+)'`)
	sprite    = regexp.MustCompile(`'((?:glyph|icon)-[a-z]+)'`)
	glyph     = regexp.MustCompile(`glyph: '([a-z]+)'`)
	elsewhere = regexp.MustCompile(`(?i)(?:src|href|from|import|url)\s*[=(:]?\s*["']?(?:https?:)?//[a-z]`)
)

// read follows the page from its first file, as a browser would.
func read(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	queue := []string{"/"}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if _, known := found[path]; known {
			continue
		}
		answer := get(t, http.MethodGet, path, nil)
		if answer.Code != http.StatusOK {
			t.Errorf("%s is referenced: %d", path, answer.Code)
			continue
		}
		found[path] = answer.Body.String()
		for _, m := range reference.FindAllStringSubmatch(found[path], -1) {
			queue = append(queue, m[1])
		}
		for _, m := range imported.FindAllStringSubmatch(found[path], -1) {
			queue = append(queue, "/assets/"+m[1])
		}
	}
	return found
}

func TestEveryReferenceExistsAndNothingIsLeftOver(t *testing.T) {
	found := read(t)
	for _, path := range web.Paths() {
		if _, ok := found[path]; !ok {
			t.Errorf("%s is embedded and nothing refers to it", path)
		}
	}
	if len(found) < 10 {
		t.Errorf("only %d files found: the references were not followed", len(found))
	}
}

func TestEveryModuleIsPreloaded(t *testing.T) {
	found := read(t)
	for path := range found {
		if strings.HasSuffix(path, ".js") && !strings.Contains(found["/"], `"`+path+`"`) {
			t.Errorf("%s is not named in the page: it would be loaded one round trip late", path)
		}
	}
}

func TestEverySymbolIsDrawn(t *testing.T) {
	found := read(t)
	wanted := map[string]string{}
	for path, text := range found {
		for _, m := range sprite.FindAllStringSubmatch(text, -1) {
			wanted[m[1]] = path
		}
		for _, m := range glyph.FindAllStringSubmatch(text, -1) {
			wanted["glyph-"+m[1]] = path
		}
	}
	for symbol, path := range wanted {
		if !strings.Contains(found["/"], `<symbol id="`+symbol+`"`) {
			t.Errorf("%s uses the symbol %s, which the page does not have", path, symbol)
		}
	}
	if len(wanted) < 10 {
		t.Errorf("only %d symbols found", len(wanted))
	}
}

func TestNothingComesFromElsewhere(t *testing.T) {
	for path, text := range read(t) {
		if m := elsewhere.FindString(text); m != "" {
			t.Errorf("%s loads from elsewhere: %s", path, m)
		}
		for _, never := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=\"", " onclick=\""} {
			if strings.Contains(text, never) {
				t.Errorf("%s has %s, which the policy forbids", path, never)
			}
		}
	}
}
