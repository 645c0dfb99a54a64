package wsconn

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func wantCode(t *testing.T, err error, code uint16, byPeer bool) CloseError {
	t.Helper()
	var ce *CloseError
	if !errors.As(err, &ce) || ce.Code != code || ce.ByPeer != byPeer {
		t.Fatalf("Serve returned %#v, want code %d, by peer %v", err, code, byPeer)
	}
	return *ce
}

func TestCloseAnsweredByThePeer(t *testing.T) {
	transports(t, func(t *testing.T, secure bool) {
		s := start(t, &Config{answerWait: time.Hour}, nil, secure)
		p, c := dial(t, s)
		if err := c.Queue(Text, []byte("before")); err != nil {
			t.Fatal(err)
		}
		c.Close(4503, "elsewhere")
		c.Close(4401, "too late to count")
		if err := c.Send(Text, []byte("after")); !errors.Is(err, ErrClosed) {
			t.Fatalf("Send after Close: %v, want ErrClosed", err)
		}
		p.want(0x81, "before")
		p.want(0x88, "\x11\x97elsewhere")
		p.send(closeFrame(4503, ""))
		p.wantEOF()
		ce := wantCode(t, within(t, s.ended, "Serve to return"), 4503, false)
		if ce.Reason != "elsewhere" {
			t.Fatalf("reason %q", ce.Reason)
		}
	})
}

func TestCloseNotAnsweredEndsAnyway(t *testing.T) {
	transports(t, func(t *testing.T, secure bool) {
		s := start(t, &Config{answerWait: 50 * time.Millisecond}, nil, secure)
		_, c := dial(t, s)
		c.Close(CodeGoingAway, "")
		wantCode(t, within(t, s.ended, "Serve to return"), CodeGoingAway, false)
	})
}

// The reader never waits for such a peer, so a read deadline alone would not
// end it.
func TestCloseEndsAPeerThatNeverStopsSending(t *testing.T) {
	transports(t, func(t *testing.T, secure bool) {
		s := start(t, &Config{answerWait: 100 * time.Millisecond}, func(c *Conn, _ Op, _ []byte) error { return nil }, secure)
		p, c := dial(t, s)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			flood := bytes.Repeat(masked(0x81, "more"), 4096)
			for {
				if _, err := p.Write(flood); err != nil {
					return
				}
			}
		}()
		c.Close(CodeGoingAway, "")
		wantCode(t, within(t, s.ended, "Serve to return"), CodeGoingAway, false)
		within(t, stopped, "the peer to notice")
	})
}

// Closing a socket with unread input resets it, and the peer would never see
// the close frame.
func TestViolationReachesAPeerThatStillSends(t *testing.T) {
	transports(t, func(t *testing.T, secure bool) {
		s := start(t, &Config{}, nil, secure)
		p, _ := dial(t, s)
		p.send(masked(0x82, strings.Repeat("x", 4<<20)))
		p.wantClose(CodeTooBig)
		wantCode(t, within(t, s.ended, "Serve to return"), CodeTooBig, false)
	})
}

func TestCloseFromBothSides(t *testing.T) {
	s := serve(t, &Config{answerWait: time.Hour}, nil)
	p, c := dial(t, s)
	go c.Close(4000, "")
	p.send(closeFrame(4001, ""))
	f, err := p.frame()
	if err != nil || f.first != 0x88 {
		t.Fatalf("got %v, %v; want one close frame", f, err)
	}
	p.wantEOF()
	var ce *CloseError
	if err := within(t, s.ended, "Serve to return"); !errors.As(err, &ce) || ce.Code != 4000 && ce.Code != 4001 {
		t.Fatalf("Serve returned %v, want either side's code", err)
	}
	<-c.Done()
}

func TestCloseInTheCallback(t *testing.T) {
	calls := 0
	s := serve(t, &Config{}, func(c *Conn, _ Op, _ []byte) error {
		calls++
		c.Close(4409, "superseded")
		return nil
	})
	p, _ := dial(t, s)
	p.send(append(masked(0x81, "one"), masked(0x81, "two")...))
	p.want(0x88, "\x11\x39superseded")
	p.send(closeFrame(4409, ""))
	p.wantEOF()
	wantCode(t, within(t, s.ended, "Serve to return"), 4409, false)
	if calls != 1 {
		t.Fatalf("%d messages handed over, want 1: none after Close", calls)
	}
}

func TestCallbackEndsTheConnection(t *testing.T) {
	own := errors.New("no such thing")
	cases := map[string]struct {
		callback func() error
		code     uint16
		cause    error
	}{
		"by an error":          {func() error { return own }, CodeInternal, own},
		"by a close error":     {func() error { return &CloseError{Code: 4429, Reason: "rate"} }, 4429, nil},
		"by a wrapped one":     {func() error { return errors.Join(own, &CloseError{Code: 4429}) }, 4429, own},
		"by a nil *CloseError": {func() error { var none *CloseError; return none }, CodeInternal, nil},
		"by a panic":           {func() error { panic("secret presence") }, CodeInternal, ErrPanic},
		"by leaving":           {func() error { runtime.Goexit(); return nil }, CodeInternal, nil},
		"by a broken index":    {func() error { _ = strings.Fields("")[0]; return nil }, CodeInternal, ErrPanic},
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			logged := captureLog(t)
			cfg := &Config{}
			s := serve(t, cfg, func(*Conn, Op, []byte) error { return tt.callback() })
			p, _ := dial(t, s)
			p.send(masked(0x81, "x"))
			p.wantClose(tt.code)
			ce := wantCode(t, within(t, s.ended, "Serve to return"), tt.code, false)
			if tt.cause != nil && !errors.Is(&ce, tt.cause) {
				t.Fatalf("cause of %v is not %v", &ce, tt.cause)
			}
			if panicked := errors.Is(tt.cause, ErrPanic); (cfg.Panics() == 1) != panicked {
				t.Fatalf("%d panics counted", cfg.Panics())
			}
			if text := logged.String() + ce.Error(); strings.Contains(text, "secret") {
				t.Fatalf("the panic's value leaked into %q", text)
			}
			if panicked := errors.Is(tt.cause, ErrPanic); strings.Contains(logged.String(), "close_test.go") != panicked {
				t.Fatalf("logged %q, want a stack only for a panic", logged)
			}
		})
	}
}

// captureLog collects what is logged; read it after the connection has ended.
func captureLog(t *testing.T) *bytes.Buffer {
	var b bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &b
}

func TestPeerVanishes(t *testing.T) {
	transports(t, func(t *testing.T, secure bool) {
		s := start(t, &Config{}, nil, secure)
		p, c := dial(t, s)
		inner := p.Conn
		if tc, ok := inner.(interface{ NetConn() net.Conn }); ok {
			inner = tc.NetConn()
		}
		if err := inner.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		if err := inner.Close(); err != nil {
			t.Fatal(err)
		}
		ce := wantCode(t, within(t, s.ended, "Serve to return"), CodeAbnormal, false)
		if ce.Cause == nil {
			t.Fatal("no cause given")
		}
		if err := c.Send(Text, nil); !errors.Is(err, ErrClosed) {
			t.Fatalf("Send after the end: %v, want ErrClosed", err)
		}
		c.Ping()
		c.Flush()
		c.Close(CodeNormal, "")
		<-c.Done()
	})
}

// unserved upgrades without calling Serve.
func unserved(t *testing.T, cfg *Config) *server {
	s := &server{conns: make(chan *Conn, 1)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := cfg.Upgrade(w, r)
		if err != nil {
			t.Errorf("upgrade: %v", err)
			return
		}
		s.conns <- c
	}))
	t.Cleanup(s.Close)
	return s
}

func TestCloseWithoutServe(t *testing.T) {
	p, c := dial(t, unserved(t, &Config{}))
	c.Close(4401, "no token")
	p.want(0x88, "\x11\x31no token")
	p.send(closeFrame(4401, ""))
	p.wantEOF()
	within(t, c.Done(), "the end")
	err := c.Serve(func(Op, []byte) error { t.Error("a message after Close"); return nil })
	wantCode(t, err, 4401, false)
}

func TestCloseReason(t *testing.T) {
	cases := map[string]struct {
		code   uint16
		reason string
		want   string
	}{
		"as given":                   {1000, "bye", "\x03\xe8bye"},
		"cut between characters":     {1000, strings.Repeat("€", 100), "\x03\xe8" + strings.Repeat("€", 41)},
		"at the limit":               {1000, strings.Repeat("x", 123), "\x03\xe8" + strings.Repeat("x", 123)},
		"broken UTF-8 is left out":   {1000, "a\xffb", "\x03\xe8ab"},
		"a code that is not for use": {1006, "gone", ""},
		"no code":                    {0, "", ""},
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			body := closeBody(&CloseError{Code: tt.code, Reason: tt.reason})
			if string(body) != tt.want || len(body) > 125 || len(body) > 2 && !utf8.Valid(body[2:]) {
				t.Fatalf("got %q, want %q", body, tt.want)
			}
		})
	}
}

func TestLastHeardFollowsEveryFrame(t *testing.T) {
	s := serve(t, &Config{}, nil)
	before := time.Now()
	p, c := dial(t, s)
	for first, answer := range map[byte]byte{0x89: 0x8a, 0x81: 0x81} {
		last := c.LastHeard()
		if last.Before(before) || last.After(time.Now()) {
			t.Fatalf("heard at %v, not since %v", last, before)
		}
		p.send(masked(first, "")) // answered, so it has been heard
		p.want(answer, "")
		if !c.LastHeard().After(last) {
			t.Fatalf("frame %#x was not noticed", first)
		}
	}
}
