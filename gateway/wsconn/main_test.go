package wsconn

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test; none is meant to reach it.
const patience = 10 * time.Second

// server serves cfg over a real loopback socket and remembers its connections.
type server struct {
	*httptest.Server
	conns chan *Conn
	ended chan error
}

// serve starts a server whose callback gets the connection; nil echoes.
func serve(t testing.TB, cfg *Config, onMessage func(*Conn, Op, []byte) error) *server {
	return start(t, cfg, onMessage, false)
}

func start(t testing.TB, cfg *Config, onMessage func(*Conn, Op, []byte) error, secure bool) *server {
	t.Helper()
	if onMessage == nil {
		onMessage = func(c *Conn, op Op, p []byte) error { return c.Send(op, p) }
	}
	s := &server{conns: make(chan *Conn, 64), ended: make(chan error, 64)}
	var running sync.WaitGroup
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := cfg.Upgrade(w, r)
		if err != nil {
			return
		}
		running.Go(func() {
			err := c.Serve(func(op Op, p []byte) error { return onMessage(c, op, p) })
			s.ended <- err
		})
		s.conns <- c
	}))
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() { s.Close(); running.Wait() })
	return s
}

// peer is a client that writes raw bytes.
type peer struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

const handshake = "GET / HTTP/1.1\r\nHost: rollcall.test\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

func dialRaw(t testing.TB, s *server) *peer {
	t.Helper()
	var d interface {
		DialContext(context.Context, string, string) (net.Conn, error)
	} = new(net.Dialer)
	if s.TLS != nil {
		d = &tls.Dialer{Config: &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"}}
	}
	nc, err := d.DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{Conn: nc, t: t, in: bufio.NewReader(nc)}
	t.Cleanup(func() { _ = nc.Close() }) // most tests have closed it
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return p
}

// dial does the handshake; early is sent in the same write as the request.
func dial(t testing.TB, s *server, early ...byte) (*peer, *Conn) {
	t.Helper()
	p := dialRaw(t, s)
	p.send(append([]byte(handshake+"\r\n"), early...))
	if resp := p.response(); resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake answered %s", resp.Status)
	}
	return p, within(t, s.conns, "the server's connection")
}

func (p *peer) response() *http.Response {
	p.t.Helper()
	resp, err := http.ReadResponse(p.in, nil)
	if err != nil {
		p.t.Fatalf("read response: %v", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols && resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			p.t.Fatalf("read body: %v", err)
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	return resp
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

type wire struct {
	first   byte
	payload []byte
}

func (p *peer) frame() (wire, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(p.in, head); err != nil {
		return wire{}, err
	}
	if head[1]&0x80 != 0 {
		p.t.Fatal("server sent a masked frame")
	}
	n := uint64(head[1])
	switch n {
	case 126:
		n = p.number(2)
	case 127:
		n = p.number(8)
	}
	payload := make([]byte, n)
	_, err := io.ReadFull(p.in, payload)
	return wire{head[0], payload}, err
}

func (p *peer) number(size int) uint64 {
	b := make([]byte, 8)
	if _, err := io.ReadFull(p.in, b[8-size:]); err != nil {
		p.t.Fatalf("read length: %v", err)
	}
	return binary.BigEndian.Uint64(b)
}

func (p *peer) want(first byte, payload string) {
	p.t.Helper()
	f, err := p.frame()
	if err != nil {
		p.t.Fatalf("read frame: %v", err)
	}
	if f.first != first || string(f.payload) != payload {
		p.t.Fatalf("got frame %#x %.40q, want %#x %.40q", f.first, f.payload, first, payload)
	}
}

// wantClose expects a close frame with code (0: none in it), then the end of
// the connection, not a reset.
func (p *peer) wantClose(code uint16) {
	p.t.Helper()
	f, err := p.frame()
	if err != nil {
		p.t.Fatalf("no close frame: %v", err)
	}
	if f.first != 0x88 {
		p.t.Fatalf("got frame %#x %.40q, want a close frame", f.first, f.payload)
	}
	got := uint16(0)
	if len(f.payload) >= 2 {
		got = binary.BigEndian.Uint16(f.payload)
	}
	if got != code {
		p.t.Fatalf("closed with %d %q, want %d", got, f.payload, code)
	}
	p.wantEOF()
}

// wantEOF expects the orderly end of the connection and ends this side too.
func (p *peer) wantEOF() {
	p.t.Helper()
	if n, err := io.Copy(io.Discard, p.in); err != nil || n > 0 {
		p.t.Fatalf("after the close frame: %d bytes, %v; want the end", n, err)
	}
	if err := p.Close(); err != nil {
		p.t.Fatal(err)
	}
}

// masked frames payload as a client does.
func masked(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

func closeFrame(code uint16, reason string) []byte {
	return masked(0x88, string(binary.BigEndian.AppendUint16(nil, code))+reason)
}

func within[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
	}
	panic("unreachable")
}
