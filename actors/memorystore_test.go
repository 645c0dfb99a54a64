package actors

import (
	"sync"

	"rollcall/persistence"
	"rollcall/presence"
)

// memoryStore keeps everything in maps and answers at once: in a bubble of
// virtual time there is no disk. It is the only copy.
type memoryStore struct {
	mu    sync.Mutex
	users map[presence.UserID]persistence.Loaded
	lists map[presence.UserID]map[presence.Key]presence.Element
	feed  []persistence.Commit
	loads int
}

func (m *memoryStore) Commit(c persistence.Commit, announced bool, done func(int, error)) {
	m.mu.Lock()
	l := m.users[c.User]
	l.Record = l.Record.Clone()
	for _, e := range c.Elements {
		if kind, _ := e.Key.Split(); kind == presence.KindWatch {
			m.list(c.User, e)
		} else {
			l.Record.Merge(e)
		}
	}
	if c.Version != 0 {
		l.State, l.Version, l.Wake, l.Found = c.State, c.Version, c.Wake, true
		m.users[c.User] = l
	}
	if announced {
		m.feed = append(m.feed, c)
	}
	m.mu.Unlock()
	done(1, nil)
}

func (m *memoryStore) list(u presence.UserID, e presence.Element) {
	if m.lists == nil {
		m.lists = map[presence.UserID]map[presence.Key]presence.Element{}
	}
	if m.lists[u] == nil {
		m.lists[u] = map[presence.Key]presence.Element{}
	}
	m.lists[u][e.Key] = e
}

func (m *memoryStore) Load(u presence.UserID, done func(persistence.Loaded, error)) {
	m.mu.Lock()
	m.loads++
	l := m.users[u]
	l.Record = l.Record.Clone()
	m.mu.Unlock()
	done(l, nil)
}

func (m *memoryStore) LoadWatch(u presence.UserID, endpoint string, done func(presence.Element, bool, error)) {
	m.mu.Lock()
	e, ok := m.lists[u][presence.WatchKey(endpoint)]
	m.mu.Unlock()
	done(e, ok, nil)
}

func (m *memoryStore) CommitPolicy(_ presence.Policy, done func(error)) { done(nil) }
func (m *memoryStore) Policies() ([]presence.Policy, error)             { return nil, nil }

func (m *memoryStore) announced() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.feed)
}
