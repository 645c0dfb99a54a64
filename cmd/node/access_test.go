package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

func TestTokensOfSeveralNodes(t *testing.T) {
	up := true
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, `{"access_token":"t","expires_in":3600}`) // the command's end of it is what counts
	}))
	defer s.Close()
	a := &tokens{servers: []string{"http://127.0.0.1:1", s.URL}, login: "alice"}
	if token, err := a.fetch(t.Context()); err != nil || token != "t" {
		t.Errorf("%q, %v, want that of the second node", token, err)
	}
	up = false
	if token, err := a.fetch(t.Context()); err != nil || token != "t" {
		t.Errorf("%q, %v, want the last one while nobody gives another", token, err)
	}
	a.ends = time.Now()
	if _, err := a.fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") || !strings.Contains(err.Error(), s.URL) {
		t.Errorf("%v, want what both nodes said", err)
	}
}

// Both tools go on at the second of their nodes when the first is gone.
func TestToolsGoOnAtTheNextNode(t *testing.T) {
	m := program(t, t.TempDir(), "127.0.0.1:0")
	defer stopped(t, m)
	servers := []string{"http://127.0.0.1:1", m.URL}
	w := watching(t, &Watch{Access: Access{Server: servers, User: "bob"}, Users: []string{"alice"}})
	w.until("alice Offline")
	if _, err := run(t, &Publish{Access: Access{Server: servers, User: "alice"}, Availability: "Busy"}); err != nil {
		t.Fatal(err)
	}
	w.until("alice Busy")
	parsed, err := access(t, "--server", "http://a", "--server=http://b")
	if err != nil || strings.Join(parsed.Server, " ") != "http://a http://b" {
		t.Errorf("two --server are %q, %v", parsed.Server, err)
	}
	if parsed, err = access(t); err != nil || strings.Join(parsed.Server, " ") != "http://127.0.0.1:8080" {
		t.Errorf("no --server is %q, %v", parsed.Server, err)
	}
}

func access(t *testing.T, args ...string) (Access, error) {
	t.Helper()
	var c commands
	k, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Parse(append([]string{"watch", "alice"}, args...))
	return c.Watch.Access, err
}
