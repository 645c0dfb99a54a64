package client_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"rollcall/client"
	"rollcall/messages"
	"rollcall/presence"
)

// token is a JWT that nobody has signed.
func token(name string, expires time.Time) string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return part("{}") + "." + part(fmt.Sprintf(`{"jti":%q,"exp":%d}`, name, expires.Unix())) + "." + part("x")
}

func TestCloseCodes(t *testing.T) {
	for code, tt := range map[websocket.StatusCode]struct {
		again   time.Duration // the longest wait before the client comes back; 0: it does not
		resumes bool
	}{
		1001: {time.Second, true},
		1007: {time.Second, false},
		1008: {time.Second, false},
		1011: {time.Second, true},
		4401: {time.Second, true},
		4403: {0, false},
		4408: {time.Second, true},
		4409: {0, false},
		4429: {31 * time.Second, true},
		4503: {time.Second, true},
		4999: {time.Second, true},
	} {
		t.Run(fmt.Sprint(int(code)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t)
				c, p := watchingAlice(t, n, n.config())
				time.Sleep(11 * time.Second) // long enough to count as a good connection
				began := time.Now()
				p.close(code)
				synctest.Wait()
				var closed *client.Closed
				s := c.State()
				if !errors.As(s.Err, &closed) || closed.Code != int(code) {
					t.Fatalf("state %+v, want the reason %d", s, code)
				}
				if tt.again == 0 {
					if s.Status != client.Ended {
						t.Errorf("the client is %s, want it to give up", s.Status)
					}
					_, err := c.Publish(t.Context(), client.Note{Text: "x"})
					if !errors.Is(err, client.ErrClosed) || !errors.As(err, &closed) {
						t.Errorf("a call after the end is %v", err)
					}
					return
				}
				if s.Status != client.Waiting || s.Retry.Sub(began) != tt.again {
					t.Errorf("%s, next try after %s, want %s", s.Status, s.Retry.Sub(began), tt.again)
				}
				_, h := n.welcomed("s2", false)
				if resumes := h.Session == "s1"; resumes != tt.resumes {
					t.Errorf("asks for session %q", h.Session)
				}
			})
		})
	}
}

func TestPausesGrowAndEndWithSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		var refusals atomic.Int32
		n.refuse = func(w http.ResponseWriter) bool {
			if refusals.Add(1) > 7 {
				return false
			}
			http.Error(w, "not yet", http.StatusBadGateway)
			return true
		}
		var pauses []time.Duration
		cfg := n.config()
		cfg.OnState = func(s client.State) {
			if s.Status == client.Waiting {
				pauses = append(pauses, s.Retry.Sub(s.Since)-time.Second) // less the second of a 502
			}
		}
		n.start(cfg)
		p, _ := n.welcomed("s1", false)
		synctest.Wait()
		want := []time.Duration{1, 2, 4, 8, 16, 30, 30}
		if len(pauses) != len(want) {
			t.Fatalf("%d pauses, want %d: %v", len(pauses), len(want), pauses)
		}
		for i := range want {
			if pauses[i] != want[i]*time.Second {
				t.Errorf("pause %d is %s, want %ds", i, pauses[i], want[i])
			}
		}
		time.Sleep(11 * time.Second)
		p.drop()
		began := time.Now()
		n.welcomed("s1", true)
		if d := time.Since(began); d != time.Second {
			t.Errorf("back after %s, want the first pause again", d)
		}
	})
}

func TestPausesAreDrawnFromAllBelow(t *testing.T) {
	for tries, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
		if got := client.Backoff(tries); got != want*time.Second {
			t.Errorf("after %d tries the longest pause is %s, want %ds", tries, got, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		asked := make(chan time.Duration, 64)
		cfg := client.Jitter(n.config(), func(most time.Duration) time.Duration {
			asked <- most
			return most / 4
		})
		c := n.start(cfg)
		p, _ := n.welcomed("s1", false)
		p.drop()
		synctest.Wait()
		if most := <-asked; most != time.Second || time.Until(c.State().Retry) != time.Second/4 {
			t.Errorf("drawn from %s, next try in %s", most, time.Until(c.State().Retry))
		}
	})
}

func TestRefusedHandshakeSaysWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		var refused atomic.Bool
		n.refuse = func(w http.ResponseWriter) bool {
			if refused.Swap(true) {
				return false
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"error":{"code":"too_many_connections","message":"full","retryAfterMs":5000}}`))
			return true
		}
		c := n.start(n.config())
		synctest.Wait()
		var e *client.Error
		s := c.State()
		if !errors.As(s.Err, &e) || e.Code != "too_many_connections" || s.Retry.Sub(s.Since) != 6*time.Second {
			t.Errorf("state %+v, want a retry after 5 s and the back-off", s)
		}
		n.welcomed("s1", false)
	})
}

func TestDialReturnsTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		cfg := n.config()
		broken := errors.New("no token today")
		cfg.Token = func(context.Context) (string, error) { return "", broken }
		if _, err := client.Dial(t.Context(), cfg); !errors.Is(err, broken) {
			t.Errorf("Dial without a token: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := client.Dial(ctx, n.config()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial of a node that says nothing: %v", err)
		}
		n.stop()
		if _, err := client.Dial(t.Context(), n.config()); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("Dial without a node: %v", err)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	ok := client.StaticToken("t")
	for name, cfg := range map[string]client.Config{
		"no token":           {Server: where},
		"no server":          {Token: ok},
		"no host":            {Token: ok, Server: "http://"},
		"no address":         {Token: ok, Server: "node"},
		"another scheme":     {Token: ok, Server: "ftp://node"},
		"query":              {Token: ok, Server: where + "?x"},
		"endpoint too long":  {Token: ok, Server: where, Endpoint: strings.Repeat("x", 65)},
		"endpoint with text": {Token: ok, Server: where, Endpoint: "my desk"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := client.New(cfg); !errors.Is(err, client.ErrConfig) {
				t.Errorf("error %v, want ErrConfig", err)
			}
		})
	}
}

func TestGarbageEndsTheConnection(t *testing.T) {
	for name, send := range map[string]func(p *peer){
		"no protobuf":     func(p *peer) { p.raw(websocket.MessageBinary, []byte{0xff, 0xff, 0xff}) },
		"empty":           func(p *peer) { p.raw(websocket.MessageBinary, nil) },
		"text":            func(p *peer) { p.raw(websocket.MessageText, []byte("{}")) },
		"unknown message": func(p *peer) { p.raw(websocket.MessageBinary, []byte{0xfa, 0x7f, 0x00}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t)
				c, p := watchingAlice(t, n, n.config())
				for range 3 {
					if s := c.State(); s.Status == client.Ended {
						t.Fatal("gave up early")
					}
					send(p)
					if code := p.readClose(); code != websocket.StatusProtocolError {
						t.Errorf("closed with %v, want 1002", code)
					}
					synctest.Wait()
					if s := c.State(); s.Status == client.Ended {
						break
					}
					p, _ = n.welcomed("s2", false)
					p.watching(alice)
				}
				if s := c.State(); s.Status != client.Ended || !errors.Is(s.Err, client.ErrProtocol) {
					t.Errorf("state %+v after three garbage frames in a row, want the end", s)
				}
			})
		})
	}
}

func TestSilentNodeIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c, p := watchingAlice(t, n, n.config())
		began := time.Now()
		if f := p.read(); f.GetPing() == nil {
			t.Fatalf("got %v, want a ping", f)
		}
		p.send(&messages.ServerFrame{Frame: &messages.ServerFrame_Pong{Pong: &messages.Pong{}}})
		if d := time.Since(began); d != 31250*time.Millisecond {
			t.Errorf("asked for life after %s", d)
		}
		heard := time.Now()
		p.read()
		synctest.Wait()
		if c.State().Status != client.Connected {
			t.Fatal("left too early")
		}
		n.welcomed("s1", true)
		if d := time.Since(heard); d != 51*time.Second {
			t.Errorf("back %s after the last sign of life, want 50 s of silence and the pause", d)
		}
	})
}

func TestUnansweredRequestsAreSentAgainInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c := n.start(n.config())
		p, _ := n.welcomed("s1", false)
		var answers []func() error
		for i := range 3 {
			answers = append(answers, async(func() error {
				_, err := c.Publish(t.Context(), client.Note{Text: fmt.Sprint(i)})
				return err
			}))
			synctest.Wait()
		}
		f := p.read()
		p.done(f.Id, &messages.Done{Version: 7})
		if err := answers[0](); err != nil {
			t.Fatal(err)
		}
		p.read()
		p.drop()
		p, _ = n.welcomed("s1", true)
		for i := 1; i < 3; i++ {
			f := p.read()
			if got := f.GetPublish().GetNote().GetContent(); got != fmt.Sprint(i) {
				t.Errorf("sent %q again, want %d", got, i)
			}
			p.done(f.Id, &messages.Done{Version: 8})
			if err := answers[i](); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestDeviceIsPublishedAgainWhenItsSessionMayBeGone(t *testing.T) {
	for name, tt := range map[string]struct {
		resumed bool
		away    time.Duration
		again   bool
	}{
		"short gap":   {true, time.Second, false},
		"long gap":    {true, 40 * time.Second, true},
		"new session": {false, time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t)
				cfg := client.Jitter(n.config(), func(time.Duration) time.Duration { return tt.away })
				c := n.start(cfg)
				p, _ := n.welcomed("s1", false)
				answer := async(func() error {
					_, err := c.Publish(t.Context(), client.Device{Availability: presence.Busy})
					return err
				})
				p.done(p.read().Id, &messages.Done{Version: 1})
				if err := answer(); err != nil {
					t.Fatal(err)
				}
				p.drop()
				p, _ = n.welcomed("s1", tt.resumed)
				note := async(func() error {
					_, err := c.Publish(t.Context(), client.Note{Text: "x"})
					return err
				})
				f := p.read()
				if again := f.GetPublish().GetSource() == "client"; again != tt.again {
					t.Errorf("the first frame is %v", f)
				} else if again {
					p.done(f.Id, &messages.Done{Version: 2})
					f = p.read()
				}
				p.done(f.Id, &messages.Done{Version: 3})
				if err := note(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
