package socket

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"rollcall/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve is a server whose sockets are the function's.
func serve(t *testing.T, tls bool, each func(*websocket.Conn)) (Target, *httptest.Server) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{Subprotocol}})
		if err != nil {
			t.Error(err)
			return
		}
		each(ws)
		_ = ws.CloseNow() // it may be closed
	}))
	if tls {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	var target Target
	var err error
	if tls {
		target, err = ParseTarget(s.URL, s.Client().Transport.(*http.Transport).TLSClientConfig)
	} else {
		target, err = ParseTarget(s.URL, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return target, s
}

func dial(t *testing.T, target Target) *Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := Dial(ctx, target, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // it may be closed
	return c
}

// Messages of all sizes come back as they went, past pings.
func TestEcho(t *testing.T) {
	for _, tls := range []bool{false, true} {
		target, _ := serve(t, tls, func(ws *websocket.Conn) {
			var pinging sync.WaitGroup
			defer pinging.Wait()
			defer func() { _ = ws.CloseNow() }() // ends what pings
			ws.SetReadLimit(-1)
			for {
				kind, b, err := ws.Read(context.Background())
				if err != nil {
					return
				}
				pinging.Go(func() { _ = ws.Ping(context.Background()) }) // its answer is not what is tested
				if err := ws.Write(context.Background(), kind, b); err != nil {
					return
				}
			}
		})
		c := dial(t, target)
		for _, n := range []int{0, 1, 125, 126, 2000, readBuffer, readBuffer + 1, 65535, 65536, 300_000, 3} {
			want := bytes.Repeat([]byte("presence"), n/8+1)[:n]
			if err := c.Send(want); err != nil {
				t.Fatal(err)
			}
			got, err := c.Read()
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("TLS %v: %d bytes came back as %d: %v", tls, n, len(got), err)
			}
		}
		if c.Received() < 430_000 {
			t.Errorf("%d bytes received", c.Received())
		}
		if err := c.Leave(); err != nil {
			t.Error(err)
		}
	}
}

func TestClosedByTheNode(t *testing.T) {
	target, _ := serve(t, false, func(ws *websocket.Conn) { _ = ws.Close(4408, "slow_consumer") })
	_, err := dial(t, target).Read()
	var closed *Closed
	if !errors.As(err, &closed) || closed.Code != 4408 || closed.Text != "slow_consumer" {
		t.Errorf("read: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		code    string
		wait    time.Duration
	}{
		"too many": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"error":{"code":"too_many_connections"}}`)
		}, "too_many_connections", 7 * time.Second},
		"no node": {http.NotFound, "http_404", 0},
	} {
		s := httptest.NewServer(tt.handler)
		target, err := ParseTarget(s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Dial(t.Context(), target, netip.Addr{})
		var refused *Refused
		if !errors.As(err, &refused) || refused.Code != tt.code || refused.RetryAfter != tt.wait {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
	}
}

// Servers that are none.
func TestRubbishIsRefused(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing":          "",
		"no HTTP":          "SSH-2.0-OpenSSH\r\n\r\n",
		"a wrong accept":   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: rollcall.v1.proto\r\n\r\n",
		"endless headers":  "HTTP/1.1 101 X\r\n" + strings.Repeat("A: b\r\n", 100_000),
		"half a handshake": "HTTP/1.1 101 Switching",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(c).ReadString('\n')
			_, _ = io.WriteString(c, answer) // the other side may be gone
			_ = c.Close()
		}()
		target, _ := ParseTarget("http://"+l.Addr().String(), nil)
		if c, err := Dial(t.Context(), target, netip.Addr{}); err == nil {
			t.Errorf("%s: accepted", name)
			_ = c.Close()
		}
		_ = l.Close()
		<-done
	}
}

func TestDialHonoursItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // nobody took anything
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	target, _ := ParseTarget("http://"+l.Addr().String(), nil)
	if _, err := Dial(ctx, target, netip.Addr{}); err == nil {
		t.Error("connected to nobody")
	}
}

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]string{
		"http://127.0.0.1:8080":  "127.0.0.1:8080 /v1/stream",
		"http://127.0.0.1:8080/": "127.0.0.1:8080 /v1/stream",
		"https://p.example/a":    "p.example:443 /a/v1/stream",
		"http://[::1]":           "[::1]:80 /v1/stream",
		"127.0.0.1:8080":         "",
		"ftp://x":                "",
		"http://x/?q=1":          "",
		"http://":                "",
		"http://a b":             "",
	} {
		target, err := ParseTarget(text, nil)
		got := ""
		if err == nil {
			got = target.addr + " " + target.path
		}
		if got != want {
			t.Errorf("%s: %q (%v), want %q", text, got, err, want)
		}
	}
}

func TestDecode(t *testing.T) {
	batch := &messages.Batch{Seq: 300, Items: []*messages.PresenceItem{
		{User: "8:orgid:a", Version: 1 << 60, Availability: "Busy", Activity: "InACall", LastActive: 5, Note: &messages.Note{Content: "x"}},
		{User: "t/8:orgid:b", Version: 7, Availability: "Away"},
	}}
	m, err := (&messages.ServerFrame{Frame: &messages.ServerFrame_Batch{Batch: batch}}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	b, isBatch, _, err := Decode(m)
	if err != nil || !isBatch || b.Seq != 300 {
		t.Fatalf("%+v %v %v", b, isBatch, err)
	}
	n := 0
	err = b.Each(func(it Item) {
		want := batch.Items[n]
		n++
		if string(it.User) != want.User || it.Version != want.Version || string(it.Availability) != want.Availability {
			t.Errorf("item %s %d %s, want %v", it.User, it.Version, it.Availability, want)
		}
	})
	if err != nil || n != 2 {
		t.Errorf("%d items, %v", n, err)
	}
	m, err = (&messages.ServerFrame{Id: 3, Frame: &messages.ServerFrame_Done{Done: &messages.Done{Version: 9}}}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	if _, isBatch, f, err := Decode(m); err != nil || isBatch || f.Id != 3 || f.GetDone().GetVersion() != 9 {
		t.Errorf("done is %v, %v", f, err)
	}
	var ack messages.ClientFrame
	if err := ack.UnmarshalVT(AckFrame(nil, 300)); err != nil || ack.GetAck().GetSeq() != 300 {
		t.Errorf("ack is %v, %v", &ack, err)
	}
}

// What Each reads by hand is what the generated code reads.
func FuzzDecode(f *testing.F) {
	m, _ := (&messages.ServerFrame{Frame: &messages.ServerFrame_Batch{Batch: &messages.Batch{
		Seq: 1, Items: []*messages.PresenceItem{{User: "8:orgid:a", Version: 3, Availability: "Busy"}},
	}}}).MarshalVT()
	f.Add(m)
	f.Add([]byte{0x2a, 0x00})
	f.Fuzz(func(t *testing.T, m []byte) {
		b, isBatch, _, err := Decode(m)
		if err != nil || !isBatch {
			return
		}
		var items []Item
		broken := b.Each(func(it Item) { items = append(items, it) })
		var want messages.ServerFrame
		if want.UnmarshalVT(m) != nil || broken != nil || want.GetBatch() == nil {
			return // stricter or laxer about what no node sends
		}
		if len(items) != len(want.GetBatch().Items) || b.Seq != want.GetBatch().Seq {
			t.Fatalf("%d items of batch %d, want %v", len(items), b.Seq, want.GetBatch())
		}
	})
}

// Whatever a server sends, reading ends without a panic and within bounds.
func FuzzRead(f *testing.F) {
	f.Add([]byte{0x82, 3, 1, 2, 3, 0x89, 0, 0x88, 2, 0x11, 0x58})
	f.Add([]byte{0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, wire []byte) {
		c := &Conn{raw: deaf{}, r: bufio.NewReaderSize(bytes.NewReader(wire), readBuffer)}
		for total := 0; ; {
			b, err := c.Read()
			if err != nil {
				return
			}
			if total += len(b) + 2; total > len(wire) {
				t.Fatalf("%d bytes of messages out of %d", total, len(wire))
			}
		}
	})
}

// deaf takes every write.
type deaf struct{ net.Conn }

func (deaf) Write(b []byte) (int, error)      { return len(b), nil }
func (deaf) SetWriteDeadline(time.Time) error { return nil }
