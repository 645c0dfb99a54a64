package native_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"rollcall/gateway/auth/devissuer"
	"rollcall/gateway/gatewaytest"
	"rollcall/messages"
)

// feed is a followed change feed.
type feed struct {
	t    *testing.T
	scan *bufio.Scanner
}

type change struct {
	Token string            `json:"token"`
	Item  messages.ItemJSON `json:"item"`
}

func openFeed(t *testing.T, ctx context.Context, n *gatewaytest.Node, query string) *feed {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"/v1/changes"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+n.App(t))
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() }) // its context has ended
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("feed: %d %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	return &feed{t, bufio.NewScanner(res.Body)}
}

func (f *feed) next() change {
	f.t.Helper()
	for f.scan.Scan() {
		if f.scan.Text() == "" {
			continue
		}
		var c change
		if err := json.Unmarshal(f.scan.Bytes(), &c); err != nil {
			f.t.Fatalf("line %q: %v", f.scan.Text(), err)
		}
		return c
	}
	f.t.Fatalf("the feed ended: %v", f.scan.Err())
	return change{}
}

func TestChangesAreFollowedLive(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	alice := gatewaytest.MRI(t, "alice")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	live := openFeed(t, ctx, n, "?follow=true")
	a := connect(t, n, "alice", "a")
	first := a.publish(1, "Busy", "InACall")
	got := live.next()
	if got.Item.User != alice || got.Item.Version != first.Version || got.Item.Activity != "InACall" {
		t.Errorf("change %+v, published as %s", got, first.Version)
	}
	second := a.publish(2, "Available", "")
	if c := live.next(); c.Item.Version != second.Version {
		t.Errorf("second change %+v", c)
	}
	r := call(t, http.MethodGet, n.URL+"/v1/changes?after="+got.Token, n.App(t), "")
	if r.status != http.StatusOK || strings.Count(r.body, "\n") != 1 || !strings.Contains(r.body, second.Version) {
		t.Errorf("after the first token: %d %q", r.status, r.body)
	}
	if r := call(t, http.MethodGet, n.URL+"/v1/changes?after=start", n.App(t), ""); strings.Count(r.body, "\n") != 2 {
		t.Errorf("from the start: %q", r.body)
	}
	if r := call(t, http.MethodGet, n.URL+"/v1/changes", n.App(t), ""); r.status != http.StatusOK || r.body != "" {
		t.Errorf("from now on: %d %q", r.status, r.body)
	}
}

func TestChangesRefuseBadTokens(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	connect(t, n, "alice", "a").publish(1, "Busy", "InACall")
	connect(t, n, "dave", "d").publish(1, "Busy", "InACall")
	foreign, err := n.Issuer.AppToken(devissuer.GuestTenant, 3600e9)
	if err != nil {
		t.Fatal(err)
	}
	token := line(t, call(t, http.MethodGet, n.URL+"/v1/changes?after=start", foreign, "")).Token
	expect(t, call(t, http.MethodGet, n.URL+"/v1/changes?after="+token, n.App(t), ""), 400, "bad_id")
	expect(t, call(t, http.MethodGet, n.URL+"/v1/changes?after=rubbish", n.App(t), ""), 400, "bad_id")

	other := gatewaytest.Start(t, gatewaytest.Options{}) // another store: its tokens say nothing here
	connect(t, other, "alice", "a").publish(1, "Busy", "InACall")
	token = line(t, call(t, http.MethodGet, other.URL+"/v1/changes?after=start", other.App(t), "")).Token
	expect(t, call(t, http.MethodGet, n.URL+"/v1/changes?after="+token, n.App(t), ""), 410, "resync")
}

func line(t *testing.T, r reply) (c change) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), &c); err != nil {
		t.Fatalf("%q: %v", r.body, err)
	}
	return c
}
