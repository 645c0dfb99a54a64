package clustertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// frame is any frame of a node, as far as it is read here.
type frame struct {
	Type     string                  `json:"type"`
	ID       int                     `json:"id"`
	Seq      uint64                  `json:"seq"`
	Items    []struct{ User string } `json:"items"`
	Code     string                  `json:"code"`
	Message  string                  `json:"message"`
	Watching int                     `json:"watching"`
	Refused  []string                `json:"refused"`
}

// stream is a socket that says nothing by itself, unlike the SDK's, which says
// its list again whenever it connects.
type stream struct{ ws *websocket.Conn }

// openStream connects an endpoint. The caller closes it.
func openStream(ctx context.Context, h *http.Client, gateway, token, endpoint string) (*stream, error) {
	ws, res, err := websocket.Dial(ctx, gateway+"/v1/stream", &websocket.DialOptions{
		HTTPClient: h, Subprotocols: []string{"rollcall.v1.json"},
	})
	if err != nil {
		return nil, err
	}
	if res.Body != nil {
		_ = res.Body.Close() // the handshake's, empty
	}
	ws.SetReadLimit(1 << 20)
	s := &stream{ws: ws}
	err = s.send(ctx, map[string]any{"type": "hello", "token": token, "endpoint": endpoint, "device": "Web"})
	if err == nil {
		_, err = s.await(ctx, "welcome")
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close breaks the connection off: the node is told nothing.
func (s *stream) close() { _ = s.ws.CloseNow() } // it may be broken already

func (s *stream) send(ctx context.Context, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.ws.Write(ctx, websocket.MessageText, text)
}

func (s *stream) next(ctx context.Context) (f frame, err error) {
	_, text, err := s.ws.Read(ctx)
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err == nil && f.Type == "error" {
		err = &refusal{http.StatusServiceUnavailable, f.Code, f.Message}
	}
	return f, err
}

// await reads until a frame of the type comes.
func (s *stream) await(ctx context.Context, kind string) (frame, error) {
	for {
		f, err := s.next(ctx)
		if err != nil || f.Type == kind {
			return f, err
		}
	}
}

// replace makes the endpoint watch those and nobody else.
func (s *stream) replace(ctx context.Context, users []string) error {
	err := s.send(ctx, map[string]any{"type": "watch", "id": 1, "add": users, "replace": true})
	if err != nil {
		return err
	}
	f, err := s.await(ctx, "done")
	if err == nil && (f.Watching != len(users) || len(f.Refused) > 0) {
		return &refusal{http.StatusForbidden, "refused", fmt.Sprint(f.Refused)}
	}
	return err
}

// refresh makes the endpoint read its durable list, and tells how many are on it.
func (s *stream) refresh(ctx context.Context) (int, error) {
	if err := s.send(ctx, map[string]any{"type": "watch", "id": 1, "add": []string{}}); err != nil {
		return 0, err
	}
	f, err := s.await(ctx, "done")
	return f.Watching, err
}

// watchedBy is whom an endpoint watches: everybody of whom it is told when it
// comes back. It comes twice, as at first it may still hold another list than the
// durable one.
func watchedBy(ctx context.Context, h *http.Client, gateway, token, endpoint string) ([]string, error) {
	first, err := openStream(ctx, h, gateway, token, endpoint)
	if err != nil {
		return nil, err
	}
	count, err := first.refresh(ctx)
	first.close()
	if err != nil {
		return nil, err
	}
	s, err := openStream(ctx, h, gateway, token, endpoint)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return s.watched(ctx, count)
}

// watched reads until the node has told of so many.
func (s *stream) watched(ctx context.Context, count int) ([]string, error) {
	seen := map[string]bool{}
	for len(seen) < count {
		f, err := s.await(ctx, "batch")
		if err != nil {
			return nil, fmt.Errorf("%d users are watched, of %d the node tells something: %w", count, len(seen), err)
		}
		for _, it := range f.Items {
			seen[it.User] = true
		}
		if err := s.send(ctx, map[string]any{"type": "ack", "seq": f.Seq}); err != nil {
			return nil, err
		}
	}
	return sorted(seen), nil
}

// listTime is for a node to tell of everybody on a list.
const listTime = 4 * time.Second
