package graph_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The whole way without a socket: token (remembered), route, actor, JSON. The
// store does not force its commits to the disk.
func benchmark(b *testing.B, method, path, body string) {
	w := start(b)
	alice := w.user("alice")
	token, signed := alice.token(), began
	// A request each 25 ms of the test's clock stays below the application's 50 a second, a write a second below the source's.
	step := 25 * time.Millisecond
	if body == busy {
		step = time.Second
	}
	b.ReportAllocs()
	for b.Loop() {
		w.mu.Lock()
		w.now = w.now.Add(step)
		w.mu.Unlock()
		if now := w.time(); now.Sub(signed) > 50*time.Minute {
			token, signed = alice.token(), now
		}
		r := httptest.NewRequestWithContext(b.Context(), method, base+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		w.http.ServeHTTP(rec, r)
		if rec.Code != http.StatusOK {
			b.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
}

func BenchmarkGetPresence(b *testing.B) { benchmark(b, "GET", "/v1.0/me/presence", "") }

func BenchmarkGetPresencesByUserID650(b *testing.B) {
	benchmark(b, "POST", "/v1.0/communications/getPresencesByUserId", idList(650))
}

func BenchmarkSetPresence(b *testing.B) { benchmark(b, "POST", "/v1.0/me/presence/setPresence", busy) }
