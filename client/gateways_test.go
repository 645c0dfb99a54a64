package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/client"
	"rollcall/messages"
	"rollcall/presence"
)

// network is several nodes, reached by name.
type network map[string]*node

func newNetwork(t *testing.T, names ...string) network {
	w := network{}
	for _, name := range names {
		w[name] = newNode(t)
	}
	return w
}

func (w network) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n := w[host]
	if n == nil {
		return nil, errors.New("no such host")
	}
	return n.dial(ctx, kind, address)
}

// config knows the named nodes, in this order.
func (w network) config(names ...string) client.Config {
	cfg := client.NoJitter(client.Config{
		Token: client.StaticToken("t1"), HTTP: &http.Client{Transport: &http.Transport{DialContext: w.dial}},
	})
	for _, name := range names {
		cfg.Servers = append(cfg.Servers, "http://"+name)
	}
	return cfg
}

// leave is what a node says that goes away.
func (p *peer) leave(to string, delay time.Duration) {
	p.send(&messages.ServerFrame{Frame: &messages.ServerFrame_Notice{Notice: &messages.Notice{
		Code: "going_away", Url: to, DelayMs: delay.Milliseconds(),
	}}})
	p.close(4503)
}

// at checks how long something took.
func at(t *testing.T, began time.Time, want time.Duration, what string) {
	t.Helper()
	if got := time.Since(began); got != want {
		t.Errorf("%s after %s, want %s", what, got, want)
	}
}

func TestNextAddressHasItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, "a", "b", "c")
		w["a"].stop()
		began := time.Now()
		c := w["b"].start(w.config("a", "b", "c"))
		p, _ := w["b"].welcomed("s1", false)
		at(t, began, time.Second, "at the second address")
		synctest.Wait()
		if s := c.State(); s.Server != "http://b" {
			t.Errorf("connected to %q", s.Server)
		}
		time.Sleep(11 * time.Second)
		began = time.Now()
		p.drop()
		p, h := w["c"].welcomed("s2", false)
		at(t, began, time.Second, "at the third address")
		if h.Session != "s1" {
			t.Errorf("it asks for session %q, which is for the node to judge", h.Session)
		}
		time.Sleep(11 * time.Second)
		began = time.Now()
		p.drop()
		w["b"].welcomed("s3", false)
		at(t, began, 3*time.Second, "past the first address, which is still down,")
	})
}

func TestOneAddressByEitherName(t *testing.T) {
	for name, change := range map[string]func(*client.Config){
		"Server":  func(c *client.Config) { c.Server = "http://a" },
		"Servers": func(c *client.Config) { c.Servers = []string{"http://a", "http://a/", "http://a"} },
		"both":    func(c *client.Config) { c.Server, c.Servers = "http://a", []string{"http://a"} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newNetwork(t, "a")
				w["a"].stop()
				cfg := w.config()
				change(&cfg)
				began := time.Now()
				if _, err := client.Dial(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "http://a") {
					t.Errorf("Dial: %v", err)
				}
				at(t, began, 0, "given up")
			})
		})
	}
}

func TestDialTriesEveryAddressOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, "a", "b", "c")
		for _, n := range w {
			n.stop()
		}
		began := time.Now()
		if _, err := client.Dial(t.Context(), w.config("a", "b", "c")); err == nil || !strings.Contains(err.Error(), "http://c") {
			t.Errorf("Dial: %v, want what the last one said", err)
		}
		at(t, began, 3*time.Second, "given up")
	})
}

func TestPatienceIsAskedByOneAddressOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, "a", "b")
		full := func(seconds int) func(http.ResponseWriter) bool {
			refused := false
			return func(r http.ResponseWriter) bool {
				if refused {
					return false
				}
				refused = true
				r.WriteHeader(http.StatusServiceUnavailable)
				_, _ = fmt.Fprintf(r, `{"error":{"code":"too_many_connections","message":"full","retryAfterMs":%d}}`, seconds*1000)
				return true
			}
		}
		w["a"].refuse, w["b"].refuse = full(20), full(10)
		began := time.Now()
		w["a"].start(w.config("a", "b"))
		// b is asked after 1 s and wants 10 s: until then and 2 s of the back-off
		// there is nobody to ask.
		w["b"].welcomed("s1", false)
		at(t, began, 13*time.Second, "at the address that was free first")
	})
}

// A client that is moved shows what it watches on, only ever newer, and its
// device is published at the new gateway.
func TestHintIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, "a", "b")
		c, p := watchingAlice(t, w["a"], w.config("a"))
		publish := async(func() error {
			_, err := c.Publish(t.Context(), client.Device{Availability: presence.Busy})
			return err
		})
		p.done(p.read().Id, &messages.Done{Version: 1})
		if err := publish(); err != nil {
			t.Fatal(err)
		}
		p.batch(1, item(alice, 13, presence.Busy))
		expect(t, c, alice, 13)
		p.acked(1)
		late := async(func() error {
			_, err := c.Publish(t.Context(), client.Note{Text: "asked just before"})
			return err
		})
		p.read()
		began := time.Now()
		p.leave("http://b", 700*time.Millisecond)
		p, _ = w["b"].welcomed("s2", false)
		at(t, began, 700*time.Millisecond, "at the other gateway")
		p.watching(alice)
		if f := p.read(); f.GetPublish().GetSource() != "client" || f.GetPublish().Availability != "Busy" {
			t.Fatalf("got %v, want the device again", f)
		} else {
			p.done(f.Id, &messages.Done{Version: 2})
		}
		if f := p.read(); f.GetPublish().GetNote().GetContent() != "asked just before" {
			t.Fatalf("got %v, want what was not answered", f)
		} else {
			p.done(f.Id, &messages.Done{Version: 3})
		}
		if err := late(); err != nil {
			t.Error(err)
		}
		p.batch(1, item(alice, 12, presence.Away)) // of a node that lags behind
		p.batch(2, item(alice, 13, presence.Busy))
		quiet(t, c)
		p.batch(3, item(alice, 14, presence.Away))
		expect(t, c, alice, 14)
		if s := c.State(); s.Server != "http://b" {
			t.Errorf("connected to %q", s.Server)
		}
	})
}

func TestHintWithoutAnAddress(t *testing.T) {
	for name, next := range map[string]string{"one address": "a", "several": "b"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newNetwork(t, "a", "b")
				servers := []string{"a"}
				if next == "b" {
					servers = append(servers, "b")
				}
				w["a"].start(w.config(servers...))
				p, _ := w["a"].welcomed("s1", false)
				began := time.Now()
				p.leave("", 4*time.Second)
				w[next].welcomed("s1", true)
				at(t, began, 4*time.Second, "back")
			})
		})
	}
}

func TestHintedGatewayThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, "a", "b")
		w["a"].start(w.config("a", "b"))
		p, _ := w["a"].welcomed("s1", false)
		began := time.Now()
		p.leave("http://nowhere", time.Second)
		p, _ = w["b"].welcomed("s2", false)
		at(t, began, 3*time.Second, "at the next one of the list") // 2 s of the back-off
		time.Sleep(11 * time.Second)
		began = time.Now()
		p.leave("http://a", 0)
		w["a"].welcomed("s3", false)
		at(t, began, 0, "back at the first one")
	})
}

// Gateways that send a client to each other do not get it every moment.
func TestHintsInARowWaitLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, "a", "b")
		w["a"].start(w.config("a"))
		at, other := "a", "b"
		for i, want := range []time.Duration{0, 2, 4, 8, 16, 30, 30} {
			p, _ := w[at].welcomed("s", false)
			began := time.Now()
			p.leave("http://"+other, 0)
			at, other = other, at
			p = w[at].next()
			if got := time.Since(began); got != want*time.Second {
				t.Fatalf("hint %d was followed after %s, want %ds", i, got, want)
			}
			w[at].peers <- p // for welcomed
		}
	})
}

// Word of the connection before may reach a gateway late, and end the present
// one; where a client has stayed, another process has its endpoint.
func TestSupersededByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, "a", "b")
		c := w["a"].start(w.config("a", "b"))
		p, _ := w["a"].welcomed("s1", false)
		time.Sleep(40 * time.Second)
		p.leave("http://b", 0)
		for range 2 {
			p, _ = w["b"].welcomed("s2", false)
			p.close(4409)
			p, _ = w["a"].welcomed("s3", false)
			time.Sleep(11 * time.Second)
			p.drop()
		}
		p, _ = w["b"].welcomed("s2", false)
		time.Sleep(40 * time.Second)
		p.close(4409)
		synctest.Wait()
		if s := c.State(); s.Status != client.Ended {
			t.Errorf("the client is %s although another has its endpoint", s.Status)
		}
	})
}

func TestTwoWithOneEndpointDoNotGoOnForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, "a", "b")
		c := w["a"].start(w.config("a", "b"))
		p, _ := w["a"].welcomed("s1", false)
		p.drop()
		for at, left := "b", 3; left > 0; left-- {
			p, _ = w[at].welcomed("s2", false)
			p.close(4409)
			at = map[string]string{"a": "b", "b": "a"}[at]
		}
		synctest.Wait()
		var closed *client.Closed
		if s := c.State(); s.Status != client.Ended || !errors.As(s.Err, &closed) || closed.Code != 4409 {
			t.Errorf("after three in a row the client is %s (%v)", s.Status, s.Err)
		}
	})
}

func TestHintsThatAreNotFollowed(t *testing.T) {
	for name, tt := range map[string]struct {
		from  string
		n     *messages.Notice
		to    string
		delay time.Duration
	}{
		"another node":   {"http://a", &messages.Notice{Url: "http://b:81/base/", DelayMs: 5}, "http://b:81/base/", 5 * time.Millisecond},
		"private now":    {"http://a", &messages.Notice{Url: "https://b"}, "https://b", 0},
		"still private":  {"wss://a", &messages.Notice{Url: "https://b"}, "https://b", 0},
		"not private":    {"https://a", &messages.Notice{Url: "http://b", DelayMs: 7}, "", 7 * time.Millisecond},
		"no web address": {"http://a", &messages.Notice{Url: "file:///etc/passwd"}, "", 0},
		"no address":     {"http://a", &messages.Notice{Url: "b"}, "", 0},
		"with a query":   {"http://a", &messages.Notice{Url: "http://b/?token="}, "", 0},
		"garbage":        {"http://a", &messages.Notice{Url: "http://\x00%zz"}, "", 0},
		"endless":        {"http://a", &messages.Notice{Url: "http://b/" + strings.Repeat("x", 2000)}, "", 0},
		"too long":       {"http://a", &messages.Notice{DelayMs: 1 << 62}, "", 30 * time.Second},
		"in the past":    {"http://a", &messages.Notice{DelayMs: -1 << 62}, "", 0},
	} {
		if to, delay := client.Hinted(tt.from, tt.n); to != tt.to || delay != tt.delay {
			t.Errorf("%s: %q after %s, want %q after %s", name, to, delay, tt.to, tt.delay)
		}
	}
}

func TestPostTriesTheNextAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, "a", "b", "c")
		answers := func(status int, body string) func(http.ResponseWriter) bool {
			return func(r http.ResponseWriter) bool {
				r.WriteHeader(status)
				_, _ = r.Write([]byte(body))
				return true
			}
		}
		w["a"].stop()
		w["b"].refuse = answers(503, `{"error":{"code":"going_away","message":"soon gone","retryAfterMs":1000}}`)
		w["c"].refuse = answers(200, `{"version":"A00000000000000000007"}`)
		note := client.Note{Text: "x"}
		if v, err := client.Post(t.Context(), w.config("a", "b", "c"), note); err != nil || v != 7 {
			t.Errorf("version %d, %v", v, err)
		}
		w["b"].refuse = answers(429, `{"error":{"code":"publish_rate","message":"slow down","retryAfterMs":1000}}`)
		var e *client.Error
		if _, err := client.Post(t.Context(), w.config("a", "b", "c"), note); !errors.As(err, &e) || e.Code != "publish_rate" {
			t.Errorf("%v, want what the second one said", err)
		}
		if _, err := client.Post(t.Context(), w.config("a"), note); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%v, want that nobody was reached", err)
		}
	})
}
