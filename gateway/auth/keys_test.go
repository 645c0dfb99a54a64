package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/gateway/auth"
)

func TestRotatedKeyIsPickedUp(t *testing.T) {
	first, second := es256(t, "one"), es256(t, "two")
	p := newProvider(t, first.public())
	c := &clock{at: start}
	v := newVerifier(t, p, c)
	accept(t, v, first.sign(t, userClaims(p.URL, start), nil))

	p.rotate(first.public(), second.public())
	c.advance(auth.KeyInterval)
	accept(t, v, second.sign(t, userClaims(p.URL, start), nil))
	accept(t, v, first.sign(t, with(userClaims(p.URL, start), map[string]any{"name": "again"}), nil))
	if n := p.fetched(); n != 2 {
		t.Fatalf("keys fetched %d times, want 2", n)
	}
}

func TestWithdrawnKeyStopsWorking(t *testing.T) {
	first, second := es256(t, "one"), es256(t, "two")
	p := newProvider(t, first.public())
	c := &clock{at: start}
	v := newVerifier(t, p, c)
	claims := with(userClaims(p.URL, start), map[string]any{"exp": start.Add(5 * time.Hour).Unix()})
	accept(t, v, first.sign(t, claims, nil))
	p.rotate(second.public())

	c.advance(auth.KeyLife)
	raw := first.sign(t, with(claims, map[string]any{"name": "fresh"}), nil)
	_, err := v.Verify(context.Background(), raw)
	wantErr(t, err, auth.ErrInvalid, raw)
}

func TestUnknownKeysCannotFloodTheIssuer(t *testing.T) {
	known, unknown := es256(t, "one"), es256(t, "nobody")
	p := newProvider(t, known.public())
	c := &clock{at: start}
	v := newVerifier(t, p, c)
	var wg sync.WaitGroup
	for i := range 50 {
		raw := unknown.sign(t, with(userClaims(p.URL, start), map[string]any{"name": fmt.Sprint(i)}), nil)
		wg.Go(func() {
			if _, err := v.Verify(context.Background(), raw); err == nil {
				t.Error("a token of an unknown key was accepted")
			}
		})
	}
	wg.Wait()
	if n := p.fetched(); n != 1 {
		t.Fatalf("50 tokens of unknown keys made %d fetches, want 1", n)
	}
	c.advance(auth.KeyInterval)
	if _, err := v.Verify(context.Background(), unknown.sign(t, userClaims(p.URL, start), nil)); err == nil {
		t.Fatal("accepted")
	}
	if n := p.fetched(); n != 2 {
		t.Fatalf("%d fetches after the interval, want 2", n)
	}
}

func TestIssuerAway(t *testing.T) {
	// Each would pass for a document without keys if it were not refused.
	none := []byte(`{"keys":[]}`)
	big := append(none[:len(none):len(none)], strings.Repeat(" ", auth.MaxDocument)...)
	for name, fail := range map[string]http.HandlerFunc{
		"server error": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write(none)
		},
		"redirect": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/empty")
			w.WriteHeader(http.StatusFound)
			_, _ = w.Write(none)
		},
		"no JSON":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"too large": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(big) },
		"hangs up":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			known, unknown := es256(t, "one"), es256(t, "two")
			p := newProvider(t, known.public())
			c := &clock{at: start}
			v := newVerifier(t, p, c)
			accept(t, v, known.sign(t, userClaims(p.URL, start), nil))
			p.failWith(fail)
			c.advance(auth.KeyLife)

			fresh := userClaims(p.URL, c.now())
			accept(t, v, known.sign(t, fresh, nil)) // aged keys are better than none
			raw := unknown.sign(t, fresh, nil)
			_, err := v.Verify(context.Background(), raw)
			wantErr(t, err, auth.ErrUnavailable, raw)

			p.failWith(nil)
			p.rotate(known.public(), unknown.public())
			c.advance(auth.KeyInterval)
			accept(t, v, raw) // the refusal was not remembered
		})
	}
}

func TestHangingIssuerDelaysOneCallerAtMost(t *testing.T) {
	known := es256(t, "one")
	p := newProvider(t, known.public())
	c := &clock{at: start}
	v := newVerifier(t, p, c)
	accept(t, v, known.sign(t, userClaims(p.URL, start), nil))
	c.advance(auth.KeyLife)
	entered, release := make(chan struct{}), make(chan struct{})
	p.failWith(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	var first sync.WaitGroup
	var firstErr error
	raw := known.sign(t, with(userClaims(p.URL, c.now()), map[string]any{"name": "first"}), nil)
	first.Go(func() { _, firstErr = v.Verify(context.Background(), raw) })
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := v.Verify(ctx, known.sign(t, userClaims(p.URL, c.now()), nil))
	close(release)
	first.Wait()
	if err != nil || ctx.Err() != nil || firstErr != nil {
		t.Fatalf("while the issuer hung: %v; the caller that asked it: %v", err, firstErr)
	}
}

func TestCallerGivesUpWhileKeysAreFetched(t *testing.T) {
	known := es256(t, "one")
	p := newProvider(t, known.public())
	c := &clock{at: start}
	v := newVerifier(t, p, c)
	entered, release := make(chan struct{}), make(chan struct{})
	p.failWith(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-entered; cancel() }()
	raw := known.sign(t, userClaims(p.URL, start), nil)
	_, err := v.Verify(ctx, raw)
	close(release)
	wantErr(t, err, auth.ErrUnavailable, raw)
}

func accept(t *testing.T, v *auth.Verifier, raw string) auth.Identity {
	t.Helper()
	id, err := v.Verify(context.Background(), raw)
	return must(t, id, err)
}
