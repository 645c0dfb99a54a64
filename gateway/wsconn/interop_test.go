package wsconn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

func dialCoder(t *testing.T, s *server, opts *websocket.DialOptions) (*websocket.Conn, *Conn, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	opts.HTTPClient = s.Client()
	ws, resp, err := websocket.Dial(ctx, s.URL, opts)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body != nil {
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = ws.CloseNow() }) // most tests have closed it
	return ws, within(t, s.conns, "the server's connection"), ctx
}

func TestCoderClient(t *testing.T) {
	transports(t, func(t *testing.T, secure bool) {
		s := start(t, &Config{Subprotocols: []string{"rollcall.v1.json"}}, nil, secure)
		pinged := make(chan struct{}, 1)
		ws, c, ctx := dialCoder(t, s, &websocket.DialOptions{
			Subprotocols:    []string{"rollcall.v1.json"},
			CompressionMode: websocket.CompressionContextTakeover,
			OnPingReceived:  func(context.Context, []byte) bool { pinged <- struct{}{}; return true },
		})
		if ws.Subprotocol() != "rollcall.v1.json" {
			t.Fatalf("agreed on %q", ws.Subprotocol())
		}
		for _, typ := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
			for _, n := range []int{0, 125, 126, 16 << 10} {
				sent := bytes.Repeat([]byte("a"), n)
				if err := ws.Write(ctx, typ, sent); err != nil {
					t.Fatal(err)
				}
				gotType, got, err := ws.Read(ctx)
				if err != nil || gotType != typ || !bytes.Equal(got, sent) {
					t.Fatalf("%v of %d bytes came back as %v of %d, %v", typ, n, gotType, len(got), err)
				}
			}
		}
		closed := make(chan error, 1)
		go func() {
			_, _, err := ws.Read(ctx)
			closed <- err
		}()
		if err := ws.Ping(ctx); err != nil {
			t.Fatalf("ping: %v", err)
		}
		c.Ping()
		within(t, pinged, "our ping at the client")
		c.Close(4503, "elsewhere")
		var ce websocket.CloseError
		if err := within(t, closed, "the client's read"); !errors.As(err, &ce) || ce.Code != 4503 || ce.Reason != "elsewhere" {
			t.Fatalf("client saw %v", err)
		}
		wantCode(t, within(t, s.ended, "Serve to return"), 4503, false)
	})
}

func TestCoderClientCloses(t *testing.T) {
	s := serve(t, &Config{}, nil)
	ws, _, _ := dialCoder(t, s, &websocket.DialOptions{})
	if err := ws.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Fatalf("close handshake: %v", err)
	}
	if ce := wantCode(t, within(t, s.ended, "Serve to return"), CodeNormal, true); ce.Reason != "bye" {
		t.Fatalf("reason %q", ce.Reason)
	}
}

// A client that writes a message piece by piece sends it in fragments.
func TestCoderClientFragments(t *testing.T) {
	s := serve(t, &Config{}, nil)
	ws, _, ctx := dialCoder(t, s, &websocket.DialOptions{})
	w, err := ws.Writer(ctx, websocket.MessageText)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := w.Write([]byte(strings.Repeat("é", 300))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, got, err := ws.Read(ctx); err != nil || string(got) != strings.Repeat("é", 3000) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
}

func TestManyCoderClients(t *testing.T) {
	s := serve(t, &Config{}, nil)
	var wg sync.WaitGroup
	for i := range 20 {
		ws, _, ctx := dialCoder(t, s, &websocket.DialOptions{})
		wg.Go(func() {
			for j := range 50 {
				want := fmt.Sprint(i, j)
				if err := ws.Write(ctx, websocket.MessageText, []byte(want)); err != nil {
					t.Error(err)
					return
				}
				if _, got, err := ws.Read(ctx); err != nil || string(got) != want {
					t.Errorf("got %q, %v; want %q", got, err, want)
					return
				}
			}
			if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
