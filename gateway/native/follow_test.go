package native_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall/actors"
	"rollcall/gateway/gatewaytest"
	"rollcall/gateway/native"
	"rollcall/persistence"
	"rollcall/presence"
)

// heldFeed has one change, as soon as it is let go.
type heldFeed struct{ let chan struct{} }

func (f *heldFeed) Changes(presence.TenantID, persistence.Token, int) ([]persistence.Change, persistence.Token, error) {
	select {
	case <-f.let:
		f.let = nil
		return []persistence.Change{{User: presence.UserID{MRI: "8:late"}}}, persistence.Token{}, nil
	default:
		return nil, persistence.Token{}, nil
	}
}

func (f *heldFeed) FeedWait(ctx context.Context, _ presence.TenantID, _ persistence.Token) error {
	if f.let == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	select {
	case <-f.let:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *heldFeed) FeedEnd(presence.TenantID) persistence.Token   { return persistence.Token{} }
func (f *heldFeed) FeedStart(presence.TenantID) persistence.Token { return persistence.Token{} }

// The server's read timeout is for requests; an answer may last longer.
func TestFeedOutlivesTheReadTimeout(t *testing.T) {
	const timeout = 200 * time.Millisecond
	n := gatewaytest.Start(t, gatewaytest.Options{})
	let := make(chan struct{})
	api := native.New(n.Front, actors.NewNotifications(&heldFeed{let}, 1))
	defer api.Close()
	server := httptest.NewUnstartedServer(api)
	server.Config.ReadTimeout = timeout
	server.Start()
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/v1/changes?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+n.App(t))
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // its context ends
	time.AfterFunc(3*timeout, func() { close(let) })
	got := make([]byte, 0, 200)
	for chunk := make([]byte, 200); !strings.Contains(string(got), "8:late"); {
		k, err := res.Body.Read(chunk)
		got = append(got, chunk[:k]...)
		if err != nil {
			t.Fatalf("the feed ended with %q: %v", got, err)
		}
	}
}

func TestLostConnectionIsNoticed(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	connected := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(patience); !strings.Contains(call(t, http.MethodGet, n.Admin+"/metrics", "", "").body, "\nrollcall_connections "+want+"\n"); {
			if time.Now().After(deadline) {
				t.Fatalf("the endpoints never have %s connections", want)
			}
		}
	}
	a := connect(t, n, "alice", "a")
	e := events(t, n, n.User(t, "bob"), "b", "")
	e.until("welcome")
	connected("2")
	if err := a.ws.CloseNow(); err != nil { // as when the network dies
		t.Log(err)
	}
	connected("1")
	e.stop()
	connected("0")
}

func TestRequestsWithoutIDAreNotAnswered(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	a := connect(t, n, "alice", "a")
	a.send(map[string]any{"type": "watch"})
	a.send(map[string]any{"type": "publish", "source": "client", "availability": "Busy"})
	a.send(map[string]any{"type": "watch", "id": 3})
	if m := a.until("answer", func(m message) bool { return m.Type == "done" }); m.ID != 3 {
		t.Errorf("answered %+v", m)
	}
	a.send(map[string]any{"type": "watch", "add": []string{"rubbish"}})
	if m := a.refused("bad_id"); m.ID != 0 {
		t.Errorf("refused %+v", m)
	}
}
