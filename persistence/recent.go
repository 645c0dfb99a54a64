package persistence

import "sync"

// recentBytes bounds one generation of recent; there are two.
const recentBytes = 16 << 20

// recent remembers the presence values that were written last, so that the
// writer need not look for them in every level of the store: a user who has
// changed will change again. A value never changes: who has merged into one
// compares it with what is remembered later to see whether it still counts.
// Only the writer's goroutine puts and removes.
type recent struct {
	mu         sync.RWMutex
	young, old map[uint64][]byte // by UserID.Hash
	bytes      int               // of young, about
}

// get gives what lies under a key; nil when that is not remembered.
func (r *recent) get(user uint64) []byte {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if value, ok := r.young[user]; ok {
		return value
	}
	return r.old[user]
}

func (r *recent) put(user uint64, value []byte) {
	const entry = 64
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bytes += len(value) + entry; r.bytes > recentBytes || r.young == nil {
		r.old, r.young, r.bytes = r.young, make(map[uint64][]byte), len(value)+entry
	}
	r.young[user] = value
}

func (r *recent) remove(user uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.young, user)
	delete(r.old, user)
}
