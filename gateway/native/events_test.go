package native_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/gateway/gatewaytest"
)

// stream of server-sent events.
type eventStream struct {
	t    *testing.T
	scan *bufio.Scanner
	stop context.CancelFunc
}

type event struct {
	name, id string
	close    int
	message
}

func events(t *testing.T, n *gatewaytest.Node, token, endpoint, last string) *eventStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"/v1/events?device=Mobile&endpoint="+endpoint, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() }) // its context has ended
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("events: %d %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	return &eventStream{t, bufio.NewScanner(res.Body), cancel}
}

func (s *eventStream) next() event {
	s.t.Helper()
	var e event
	for s.scan.Scan() {
		name, value, _ := strings.Cut(s.scan.Text(), ": ")
		switch name {
		case "event":
			e.name = value
		case "id":
			e.id = value
		case "data":
			e.read(s.t, value)
		case "":
			if e.name != "" {
				return e
			}
		}
	}
	s.t.Fatalf("the stream ended: %v", s.scan.Err())
	return e
}

func (e *event) read(t *testing.T, data string) {
	t.Helper()
	var into any = &e.message
	if e.name == "close" {
		into = &struct{ Code *int }{&e.close}
	}
	if err := json.Unmarshal([]byte(data), into); err != nil {
		t.Fatalf("data %q: %v", data, err)
	}
}

func (s *eventStream) until(name string) event {
	s.t.Helper()
	for {
		if e := s.next(); e.name == name {
			return e
		}
	}
}

func TestServerSentEvents(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	alice, bob := gatewaytest.MRI(t, "alice"), gatewaytest.MRI(t, "bob")
	token := n.User(t, "bob")
	s := events(t, n, token, "phone", "")
	w := s.until("welcome")
	if w.User != bob || w.Session == "" || w.Type != "" || w.Resumed {
		t.Fatalf("welcome %+v", w)
	}
	watch := call(t, http.MethodPost, n.URL+"/v1/watch", token, `{"url":"`+w.URL+`","add":["`+alice+`","`+bob+`"]}`)
	if watch.status != http.StatusOK {
		t.Fatalf("watch: %d %s", watch.status, watch.body)
	}
	first := s.until("batch")
	r := call(t, http.MethodPost, n.URL+"/v1/publish", token, `{"source":"client","endpoint":"phone","device":"Mobile","availability":"Busy"}`)
	if r.status != http.StatusOK {
		t.Fatalf("publish: %d %s", r.status, r.body)
	}
	var batch event
	for own := false; !own; {
		batch = s.until("batch")
		for _, it := range batch.Items {
			own = own || it.User == bob && it.Availability == "Busy" && it.Device == "Mobile"
		}
	}
	if batch.id != fmt.Sprintf("%s/%d", w.Session, batch.Seq) {
		t.Errorf("id %q of batch %d in session %s", batch.id, batch.Seq, w.Session)
	}
	if r := call(t, http.MethodPost, w.URL+"ack", token, fmt.Sprintf(`{"seq":%d}`, first.Seq)); r.status != http.StatusNoContent {
		t.Errorf("acknowledgement: %d %s", r.status, r.body)
	}
	s.stop()

	// Last-Event-ID resumes: what was not acknowledged comes again, no snapshot.
	connect(t, n, "alice", "a").publish(1, "Busy", "InACall")
	s = events(t, n, token, "phone", batch.id)
	w = s.until("welcome")
	if !w.Resumed || w.Watching != 2 {
		t.Fatalf("welcome %+v", w)
	}
	next := s.until("batch")
	if next.Seq != batch.Seq+1 || len(next.Items) != 1 || next.Items[0].User != alice {
		t.Errorf("batch %+v", next)
	}

	// The same endpoint by a socket supersedes the stream.
	connect(t, n, "bob", "phone")
	if e := s.until("close"); e.close != 4409 {
		t.Errorf("closed with %d", e.close)
	}
}

func TestEventsRefuse(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	token := n.User(t, "bob")
	expect(t, call(t, http.MethodGet, n.URL+"/v1/events?endpoint=e", "", ""), 401, "token_missing")
	expect(t, call(t, http.MethodGet, n.URL+"/v1/events?endpoint=e", n.App(t), ""), 403, "forbidden")
	expect(t, call(t, http.MethodGet, n.URL+"/v1/events", token, ""), 400, "bad_id")
	expect(t, call(t, http.MethodGet, n.URL+"/v1/events?endpoint=e&device=Fridge", token, ""), 400, "bad_request")
	req, err := http.NewRequest(http.MethodGet, n.URL+"/v1/events?endpoint=e", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Last-Event-ID", "rubbish")
	expect(t, do(t, req), 400, "bad_id")
}

func TestAcknowledgementsByURL(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	b := connect(t, n, "bob", "b")
	url := b.welcome.URL
	for _, tt := range []struct {
		url, login, body string
		status           int
		code             string
	}{
		{url + "ack", "alice", `{"seq":0}`, 400, "bad_id"}, // somebody else's endpoint
		{url + "nack", "bob", `{"seq":0}`, 404, "not_found"},
		{url + "ack", "bob", `{"seq":-1}`, 400, "bad_json"},
		{strings.Replace(url, "/trouter/", "/trouter/x", 1) + "ack", "bob", `{"seq":0}`, 400, "bad_id"},
		{n.URL + "/trouter/ack", "bob", `{"seq":0}`, 400, "bad_id"},
	} {
		expect(t, call(t, http.MethodPost, tt.url, n.User(t, tt.login), tt.body), tt.status, tt.code)
	}
	if r := call(t, http.MethodPost, url+"ack", n.User(t, "bob"), `{"seq":0}`); r.status != http.StatusNoContent {
		t.Errorf("an acknowledgement: %d %s", r.status, r.body)
	}
	b.do(1, map[string]any{"type": "watch"}) // the connection has not suffered
}

func TestEventStreamEndsWithItsToken(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	s := events(t, n, n.UserFor(t, "bob", time.Second-time.Minute), "phone", "")
	s.until("welcome")
	if e := s.until("notice"); e.Code != "token_expiring" || e.AfterMS > 1000 {
		t.Errorf("notice %+v", e)
	}
	if e := s.until("close"); e.close != 4401 {
		t.Errorf("closed with %d", e.close)
	}
}
