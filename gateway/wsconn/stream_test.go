package wsconn

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

type streamServer struct {
	server
	streams chan *Stream
}

func serveStream(t *testing.T, cfg *Config, header http.Header) *streamServer {
	s := &streamServer{streams: make(chan *Stream, 8)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		st, err := hijackStream(w, r, header, cfg)
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		s.streams <- st
	}))
	t.Cleanup(s.Close)
	return s
}

func openStream(t *testing.T, s *streamServer) (*peer, *Stream, *http.Response) {
	t.Helper()
	p := dialRaw(t, &s.server)
	p.send([]byte("GET /v1/events HTTP/1.1\r\nHost: rollcall.test\r\nAccept: text/event-stream\r\n\r\n"))
	resp := p.response()
	st := within(t, s.streams, "the stream")
	t.Cleanup(func() { st.Close(); _ = p.Close(); <-st.Done() })
	return p, st, resp
}

func (p *peer) wantText(text string) {
	p.t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(p.in, got); err != nil || string(got) != text {
		p.t.Fatalf("got %q, %v; want %q", got[:n], err, text)
	}
}

func TestStreamHead(t *testing.T) {
	s := serveStream(t, &Config{}, http.Header{
		"X-Session":         {"1\r\nX-Injected: yes"},
		"Transfer-Encoding": {"chunked"},
		"Content-Length":    {"5"},
		"Connection":        {"keep-alive"},
	})
	_, _, resp := openStream(t, s)
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "X-Accel-Buffering": "no", "Cache-Control": "no-store",
		"X-Injected": "", "Content-Length": "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if resp.StatusCode != 200 || !resp.Close || len(resp.TransferEncoding) != 0 || resp.ContentLength != -1 {
		t.Errorf("%s, close %v, encoding %v, length %d", resp.Status, resp.Close, resp.TransferEncoding, resp.ContentLength)
	}
	if _, err := http.ParseTime(resp.Header.Get("Date")); err != nil {
		t.Errorf("date: %v", err)
	}
}

func TestStreamCarriesEvents(t *testing.T) {
	s := serveStream(t, &Config{}, nil)
	p, st, _ := openStream(t, s)
	for range 3 {
		if err := st.Queue([]byte("id: 1\ndata: x\n\n")); err != nil {
			t.Fatal(err)
		}
	}
	if n := st.Buffered(); n != 45 {
		t.Fatalf("%d bytes buffered, want 45: Queue must not write", n)
	}
	st.Flush()
	p.wantText(strings.Repeat("id: 1\ndata: x\n\n", 3))
	if err := st.Queue([]byte("data: last\n\n")); err != nil {
		t.Fatal(err)
	}
	st.Close()
	st.Close()
	if err := st.Queue(nil); !errors.Is(err, ErrClosed) {
		t.Fatalf("Queue after Close: %v, want ErrClosed", err)
	}
	p.wantText("data: last\n\n")
	if rest, err := io.ReadAll(p.in); err != nil || len(rest) > 0 {
		t.Fatalf("after Close: %q, %v; want the end", rest, err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	within(t, st.Done(), "the stream's end")
}

func TestStreamEndsWithItsPeer(t *testing.T) {
	ends := map[string]func(*testing.T, *peer){
		"gone": func(t *testing.T, p *peer) {
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		},
		"reset": func(t *testing.T, p *peer) {
			if err := errors.Join(p.Conn.(*net.TCPConn).SetLinger(0), p.Close()); err != nil {
				t.Fatal(err)
			}
		},
		"talking too much": func(t *testing.T, p *peer) { p.send(make([]byte, maxStreamInput+1)) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			s := serveStream(t, &Config{}, nil)
			p, st, _ := openStream(t, s)
			end(t, p)
			within(t, st.Done(), "the stream's end")
			if err := st.Queue([]byte("x")); !errors.Is(err, ErrClosed) {
				t.Fatalf("Queue after the end: %v, want ErrClosed", err)
			}
			st.Close()
			st.Flush()
		})
	}
}

func fillStream(t *testing.T, st *Stream) {
	t.Helper()
	event := []byte("data: " + strings.Repeat("x", 8<<10) + "\n\n")
	for range 1 << 16 {
		err := st.Queue(event)
		if errors.Is(err, ErrSlow) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		st.Flush()
	}
	t.Fatal("the outbox never filled")
}

func TestStreamToASlowReader(t *testing.T) {
	s := serveStream(t, &Config{answerWait: 50 * time.Millisecond}, nil)
	_, slow, _ := openStream(t, s)
	p, neighbour, _ := openStream(t, s)
	fillStream(t, slow)
	if err := neighbour.Queue([]byte("data: y\n\n")); err != nil {
		t.Fatal(err)
	}
	neighbour.Flush()
	p.wantText("data: y\n\n")
	slow.Close()
	within(t, slow.Done(), "the end of a stream whose peer reads nothing")
}

func TestStreamWriteTimeout(t *testing.T) {
	s := serveStream(t, &Config{WriteTimeout: 50 * time.Millisecond}, nil)
	_, st, _ := openStream(t, s)
	event := []byte("data: " + strings.Repeat("x", 8<<10) + "\n\n")
	sendUntilClosed(t, func() error { defer st.Flush(); return st.Queue(event) })
	within(t, st.Done(), "the end by write timeout")
}
