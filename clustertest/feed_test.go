package clustertest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"rollcall/presence"
)

// feedSilence is after how long without a line the reader tries another node.
const feedSilence = 4 * time.Second

const feedStart = "start"

// shownAs is a version of a user.
type shownAs struct {
	user    int
	version presence.Version
}

// feedReader follows the crowd's change feed from the beginning, at another node
// with the last token whenever one does not go on.
type feedReader struct {
	cluster *cluster
	http    *http.Client
	stop    context.CancelFunc
	wg      sync.WaitGroup

	mu       sync.Mutex
	at       string // gateway
	token    string
	entries  map[shownAs]shown
	hops     int
	problems []string
	resyncs  int  // that were promised: after a disk was lost, or a node restarted
	mayAsk   bool // for one
	partial  bool // no node has all users
}

func newFeedReader(c *cluster) *feedReader {
	f := &feedReader{
		cluster: c, token: feedStart, entries: map[shownAs]shown{},
		http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	f.wg.Go(func() {
		for turn := 0; ctx.Err() == nil; turn++ {
			all := c.gateways()
			f.follow(ctx, all[turn%len(all)])
		}
	})
	return f
}

func (f *feedReader) close() {
	f.stop()
	f.wg.Wait()
	f.http.CloseIdleConnections()
}

// follow reads from one gateway until it does not go on.
func (f *feedReader) follow(ctx context.Context, gateway string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(feedSilence, cancel)
	defer quiet.Stop()
	f.mu.Lock()
	after := f.token
	f.at = gateway
	f.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, gateway+"/v1/changes?follow=true&after="+url.QueryEscape(after), nil)
	if err != nil {
		panic(err) // it is made of good parts
	}
	req.Header.Set("Authorization", "Bearer "+f.cluster.issuer.appToken())
	res, err := f.http.Do(req)
	if err != nil {
		pause(ctx, pollEvery)
		return
	}
	defer func() { _ = res.Body.Close() }() // the node hears it
	switch res.StatusCode {
	case http.StatusMisdirectedRequest:
		f.mu.Lock()
		f.partial = true
		f.mu.Unlock()
	case http.StatusGone:
		f.resync(fmt.Sprintf("%s has refused token %s with 410", f.cluster.nameOf(gateway), after))
	}
	if res.StatusCode != http.StatusOK {
		pause(ctx, pollEvery)
		return
	}
	f.mu.Lock()
	f.partial = false
	f.hops++
	f.mu.Unlock()
	newest := map[int]presence.Version{}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		quiet.Reset(feedSilence)
		f.line(gateway, lines.Bytes(), newest)
	}
}

// pause waits, or not, if the context ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// line takes one; an older version behind a newer one on the same connection is
// a problem.
func (f *feedReader) line(gateway string, text []byte, newest map[int]presence.Version) {
	if len(text) == 0 {
		return // a sign of life
	}
	var l struct {
		Token string
		Item  json.RawMessage
		Error *struct{ Code, Message string }
	}
	items := map[int]item{}
	err := json.Unmarshal(text, &l)
	switch {
	case err == nil && l.Error != nil:
		if l.Error.Code == "resync" {
			f.resync(f.cluster.nameOf(gateway) + " has ended the feed with resync")
		}
		return
	case err == nil:
		err = parseItems(fmt.Appendf(nil, `{"items":[%s]}`, l.Item), items)
	}
	if err != nil {
		return // half a line of a node that was killed
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = l.Token
	for user, it := range items {
		f.entries[shownAs{user, it.version}] = it.state
		if it.version < newest[user] {
			f.problems = append(f.problems, fmt.Sprintf("%s told version %s of user %d behind %s",
				f.cluster.nameOf(gateway), it.version, user, newest[user]))
		}
		newest[user] = max(newest[user], it.version)
	}
}

// resync begins anew, from what is kept: no scenario lasts so long that anything
// may be forgotten.
func (f *feedReader) resync(problem string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = feedStart
	if f.mayAsk {
		f.resyncs++
		return
	}
	f.problems = append(f.problems, problem)
}

// renewed says that a node has lost its disk or was started again: it may not
// know a token's giver.
func (f *feedReader) renewed() {
	if f == nil {
		return // before there were users
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mayAsk = true
}

// nobodyYet is the version of users of whom nothing was ever published.
const nobodyYet = 1

// untold finds what watchers have seen of users and the feed has not told, or
// has told otherwise. Every state must be in it, none may be skipped; what is
// shown anew under the version of a policy is no other state.
func untold(entries map[shownAs]shown, sights []sight, policies map[presence.Version]bool) []string {
	var out []string
	done := map[shownAs]bool{}
	for _, s := range sights {
		k := shownAs{s.user, s.version}
		if done[k] || s.version <= nobodyYet || policies[s.version] || s.state.availability == presence.PresenceUnknown {
			continue
		}
		done[k] = true
		if told, ok := entries[k]; !ok {
			out = append(out, fmt.Sprintf("the feed has not told version %s of user %d, %s, seen at %s",
				s.version, s.user, s.state, s.at.Format("15:04:05.000")))
		} else if told != s.state {
			out = append(out, fmt.Sprintf("the feed has told version %s of user %d as %s, seen was %s", s.version, s.user, told, s.state))
		}
	}
	return out
}

// fed waits until the feed has told all that watchers have seen. Where more than
// three nodes keep presence none has all users, and they must say so.
func (p *scene) fed(most time.Duration) error {
	f := p.feed
	var missing []string
	err := poll(most, func() error {
		p.record.mu.Lock()
		defer p.record.mu.Unlock()
		f.mu.Lock()
		defer f.mu.Unlock()
		missing = nil
		if !f.partial {
			missing = untold(f.entries, p.record.sights, p.policies)
		}
		return few(missing)
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	p.figures.hops, p.figures.resyncs, p.figures.untold = f.hops, f.resyncs, max(p.figures.untold, len(missing))
	if f.partial && len(p.cluster.nodes) <= 3 {
		err = errors.Join(err, errors.New("a node says that it has only some users, of three that have all"))
	}
	return errors.Join(few(f.problems), err)
}
