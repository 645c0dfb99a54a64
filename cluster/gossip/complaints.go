package gossip

import (
	"log/slog"
	"sync"
	"time"
)

const (
	complaintEvery = time.Minute
	maxComplaints  = 1024 // remembered; a flood from more sources than these is only counted
)

// complaints logs the same trouble with the same peer once a minute.
type complaints struct {
	log *slog.Logger
	now func() time.Time

	mu   sync.Mutex
	last map[complaint]time.Time
}

type complaint struct{ peer, what string }

func (c *complaints) say(peer, what string, args ...any) {
	if c.due(complaint{cut(peer), what}) {
		c.log.Warn(what, append([]any{"peer", cut(peer)}, args...)...)
	}
}

// fail is say for what needs a person.
func (c *complaints) fail(peer, what string) {
	if c.due(complaint{cut(peer), what}) {
		c.log.Error(what, "peer", cut(peer))
	}
}

func (c *complaints) due(k complaint) bool {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if last, ok := c.last[k]; ok && now.Sub(last) < complaintEvery {
		return false
	}
	if len(c.last) >= maxComplaints {
		for k, at := range c.last {
			if now.Sub(at) >= complaintEvery {
				delete(c.last, k)
			}
		}
	}
	if len(c.last) >= maxComplaints {
		return false
	}
	if c.last == nil {
		c.last = map[complaint]time.Time{}
	}
	c.last[k] = now
	return true
}

// cut bounds what a peer can make us keep or log.
func cut(s string) string {
	if len(s) > 256 {
		return s[:256]
	}
	return s
}
