// Package complaints logs what others do wrong without being flooded: the same
// trouble with the same peer once a minute.
package complaints

import (
	"log/slog"
	"sync"
	"time"
)

const (
	every      = time.Minute
	remembered = 1024 // a flood from more sources than these is not logged
)

// Log is safe for concurrent use.
type Log struct {
	log *slog.Logger
	now func() time.Time

	mu   sync.Mutex
	last map[complaint]time.Time
}

type complaint struct{ peer, what string }

// New writes to log.
func New(log *slog.Logger, now func() time.Time) *Log {
	return &Log{log: log, now: now, last: map[complaint]time.Time{}}
}

// Say warns. args are slog's.
func (l *Log) Say(peer, what string, args ...any) {
	if l.due(complaint{Cut(peer), what}) {
		l.log.Warn(what, append([]any{"peer", Cut(peer)}, args...)...)
	}
}

// Fail is Say for what needs a person.
func (l *Log) Fail(peer, what string) {
	if l.due(complaint{Cut(peer), what}) {
		l.log.Error(what, "peer", Cut(peer))
	}
}

func (l *Log) due(k complaint) bool {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.last[k]; ok && now.Sub(last) < every {
		return false
	}
	if len(l.last) >= remembered {
		for k, at := range l.last {
			if now.Sub(at) >= every {
				delete(l.last, k)
			}
		}
	}
	if len(l.last) >= remembered {
		return false
	}
	l.last[k] = now
	return true
}

// Cut bounds what a peer can make us keep or log.
func Cut(s string) string {
	if len(s) > 256 {
		return s[:256]
	}
	return s
}
