package native_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// follow reads a feed until the test ends. It returns when the first heading of
// the answer is there.
func follow(t *testing.T, n *clocked) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	_ = openFeed(t, ctx, n.Node, "?follow=true")
}

func people(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("8:orgid:00000000-0000-0000-0000-%012d", i)
	}
	return out
}

// bareSocket writes frames as a broken client might.
type bareSocket struct {
	t  *testing.T
	nc net.Conn
}

func bare(t *testing.T, n *clocked) *bareSocket {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	nc, _, _, err := ws.Dial(ctx, "ws"+strings.TrimPrefix(n.URL, "http")+"/v1/stream")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() }) // the server has closed it
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &bareSocket{t, nc}
}

func (s *bareSocket) write(f ws.Frame) {
	s.t.Helper()
	if err := ws.WriteFrame(s.nc, ws.MaskFrame(f)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *bareSocket) closedWith(want ws.StatusCode) {
	s.t.Helper()
	h, err := ws.ReadHeader(s.nc)
	if err != nil || h.OpCode != ws.OpClose {
		s.t.Fatalf("%+v, %v", h, err)
	}
	payload := make([]byte, h.Length) // at most 125 in a close frame
	if _, err := io.ReadFull(s.nc, payload); err != nil {
		s.t.Fatal(err)
	}
	if code, reason := ws.ParseCloseFrameData(payload); code != want {
		s.t.Errorf("closed with %d %q, want %d", code, reason, want)
	}
}
