package actors

import (
	"sync"

	"rollcall/persistence"
	"rollcall/presence"
)

// memoryStore keeps everything in maps and answers at once: in a bubble of
// virtual time there is no disk.
type memoryStore struct {
	mu    sync.Mutex
	users map[presence.UserID]persistence.Loaded
	lists map[presence.UserID]map[presence.Key]presence.Element
	feed  []persistence.Commit
	loads int
}

func (m *memoryStore) Commit(c persistence.Commit, done func(error)) {
	m.mu.Lock()
	m.users[c.User] = persistence.Loaded{
		Record: c.Record.Clone(), State: c.State, Version: c.Version, Wake: c.Wake, Found: true,
	}
	if c.Announced {
		m.feed = append(m.feed, c)
	}
	m.mu.Unlock()
	done(nil)
}

func (m *memoryStore) Load(u presence.UserID, done func(persistence.Loaded, error)) {
	m.mu.Lock()
	m.loads++
	l := m.users[u]
	l.Record = l.Record.Clone()
	m.mu.Unlock()
	done(l, nil)
}

func (m *memoryStore) CommitWatch(u presence.UserID, e presence.Element, done func(error)) {
	m.mu.Lock()
	if m.lists == nil {
		m.lists = map[presence.UserID]map[presence.Key]presence.Element{}
	}
	if m.lists[u] == nil {
		m.lists[u] = map[presence.Key]presence.Element{}
	}
	m.lists[u][e.Key] = e
	m.mu.Unlock()
	done(nil)
}

func (m *memoryStore) LoadWatch(u presence.UserID, endpoint string, done func(presence.Element, bool, error)) {
	m.mu.Lock()
	e, ok := m.lists[u][presence.WatchKey(endpoint)]
	m.mu.Unlock()
	done(e, ok, nil)
}

func (m *memoryStore) CommitPolicy(_ presence.Policy, done func(error)) { done(nil) }
func (m *memoryStore) Policies() ([]presence.Policy, error)             { return nil, nil }

func (m *memoryStore) Shards() (list []uint16, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for u := range m.users {
		list = append(list, u.Shard())
	}
	for u := range m.lists {
		list = append(list, u.Shard())
	}
	return list, nil
}

func (m *memoryStore) Users(shard uint16) (list []presence.UserID, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for u := range m.users {
		if u.Shard() == shard {
			list = append(list, u)
		}
	}
	for u := range m.lists {
		if _, both := m.users[u]; !both && u.Shard() == shard {
			list = append(list, u)
		}
	}
	return list, nil
}

func (m *memoryStore) Hold(u presence.UserID) (persistence.Held, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := persistence.Held{User: u, Loaded: m.users[u]}
	h.Loaded.Record = h.Loaded.Record.Clone()
	for _, e := range m.lists[u] {
		h.Watches = append(h.Watches, e)
	}
	return h, nil
}

func (m *memoryStore) Forget(h persistence.Held, done func(error)) {
	m.mu.Lock()
	delete(m.users, h.User)
	delete(m.lists, h.User)
	m.mu.Unlock()
	done(nil)
}

func (m *memoryStore) announced() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.feed)
}
