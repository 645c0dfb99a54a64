package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOneReadingAtATime(t *testing.T) {
	s := &reading{node: &Node{}}
	if !s.begin(httptest.NewRecorder()) {
		t.Fatal("the first may not begin")
	}
	for _, serve := range []http.HandlerFunc{s.backup, s.check} {
		w := httptest.NewRecorder()
		serve(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "under way") || w.Header().Get("Retry-After") == "" {
			t.Errorf("a second one: %d %s", w.Code, w.Body)
		}
	}
	s.end()
	if !s.begin(httptest.NewRecorder()) {
		t.Error("none may begin after the end")
	}
}
