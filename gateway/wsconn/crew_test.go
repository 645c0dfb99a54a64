package wsconn

import (
	"sync"
	"testing"
)

// Callbacks that block hold up nobody else, however many they are, and the
// crew keeps no more goroutines than it should and none at the end.
func TestBlockedCallbacksHoldUpNobody(t *testing.T) {
	const blocked = maxIdleHands + 10
	cfg := &Config{}
	release, entered := make(chan struct{}), make(chan struct{}, blocked)
	s := serve(t, cfg, func(c *Conn, op Op, p []byte) error {
		if string(p) == "block" {
			entered <- struct{}{}
			<-release
		}
		return c.Send(op, p)
	})
	var peers []*peer
	for range blocked {
		p, _ := dial(t, s)
		p.send(masked(0x81, "block"))
		peers = append(peers, p)
	}
	for range blocked {
		within(t, entered, "every callback to block")
	}
	free, c := dial(t, s)
	free.send(masked(0x81, "free"))
	free.want(0x81, "free")
	close(release)
	for _, p := range peers {
		p.want(0x81, "block")
		p.send(closeFrame(1000, ""))
		p.wantClose(1000)
		wantCode(t, within(t, s.ended, "Serve to return"), 1000, true)
	}
	cfg.crew.mu.Lock()
	if n := len(cfg.crew.idle); n == 0 || n > maxIdleHands || cfg.crew.serving != 1 {
		t.Errorf("%d idle goroutines for %d connections, want 1 to %d for 1", n, cfg.crew.serving, maxIdleHands)
	}
	cfg.crew.mu.Unlock()
	free.send(closeFrame(1000, ""))
	free.wantClose(1000)
	<-c.Done()
	cfg.crew.mu.Lock()
	defer cfg.crew.mu.Unlock()
	if len(cfg.crew.idle) != 0 || cfg.crew.serving != 0 {
		t.Errorf("%d idle goroutines for %d connections after the last one", len(cfg.crew.idle), cfg.crew.serving)
	}
}

// Connections that come and go at once share the crew without losing a turn.
func TestCrewUnderChurn(t *testing.T) {
	s := serve(t, &Config{}, nil)
	s.conns, s.ended = make(chan *Conn, 400), make(chan error, 400)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				p, _ := dial(t, s, masked(0x81, "early")...)
				p.want(0x81, "early")
				p.send(append(masked(0x81, "bye"), closeFrame(1000, "")...))
				p.want(0x81, "bye")
				p.wantClose(1000)
			}
		})
	}
	wg.Wait()
}
