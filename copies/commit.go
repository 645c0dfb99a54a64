package copies

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
	"rollcall/replica"
)

// States of the local write of a commit.
const (
	calling  int32 = iota // Disk.Commit has not returned
	answered              // it has called done before it returned
	returned              // it has returned, done comes or has come from elsewhere
)

// commit is one Commit under way.
type commit struct {
	persistence.Commit
	copies *Copies
	id     uint64
	shard  uint16
	begin  time.Time
	done   func(int, error)

	// Guarded by the order of the shard.
	encoded   []byte
	encodedID uint64

	write atomic.Int32
	early error // of a write that was answered at once

	// Guarded by Copies.mu.
	refusal error // of the local write
	sent    int   // deltas
	refused int   // of them
}

// Commit stores a change on the nodes that hold the user. done is called
// once, by any goroutine, with the number of nodes that have it on their disks.
// It must not block. After messages.ErrUnconfirmed the change may be stored or
// not; it may be committed again. announced says that cm.State is a visible
// change: it is numbered and enters the feed. What cm holds must not be changed
// any more.
func (c *Copies) Commit(cm persistence.Commit, announced bool, done func(copies int, err error)) {
	u := &commit{Commit: cm, copies: c, shard: cm.User.Shard(), done: done}
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		done(0, messages.ErrClosing)
		return
	}
	now := c.cfg.Now()
	c.lastID++
	u.id, u.begin = c.lastID, now
	if announced {
		u.Feed = &persistence.FeedEntry{At: now, User: cm.User, State: cm.State, Version: cm.Version}
	}
	c.commits[u.id] = u
	c.machine.Commit(now, u.id, u.shard, nameUser(cm.User), u)
	todo := c.take(now)
	c.mu.Unlock()
	c.carryOut(todo)
}

// nameUser is how the machine calls a user.
func nameUser(u presence.UserID) replica.User {
	b := make([]byte, 0, len(u.Tenant)+len(u.MRI))
	return replica.User(append(append(b, u.Tenant[:]...), u.MRI...))
}

func userOf(name replica.User) (u presence.UserID) {
	u.MRI = string(name[copy(u.Tenant[:], name):])
	return u
}

// orderOf is the lock under which a shard's commits go out.
func (c *Copies) orderOf(shard uint16) *sync.Mutex { return &c.order[shard%orders] }

// store gives the commit to the disk, which numbers its entry in the feed;
// called with the order of the shard held. written must be called behind it,
// without.
func (cm *commit) store() {
	cm.copies.cfg.Disk.Commit(cm.Commit, cm.stored)
}

// stored takes the disk's answer. One that comes before Disk.Commit returns
// waits for written: locks are held.
func (cm *commit) stored(err error) {
	cm.early = err
	if !cm.write.CompareAndSwap(calling, answered) {
		cm.wrote(err)
	}
}

func (cm *commit) written() {
	if !cm.write.CompareAndSwap(calling, returned) {
		cm.wrote(cm.early)
	}
}

func (cm *commit) wrote(err error) {
	c := cm.copies
	c.step(func(m *replica.Machine, now time.Time) {
		cm.refusal = err
		c.low.note(cm.shard, err, now)
		m.Wrote(now, cm.id, err == nil)
	})
}

// delta is the commit as it goes to every other holder, after store where this
// node is one: an entry that has no number is numbered by who gets it. Called
// with the order of the shard held.
func (cm *commit) delta(id uint64) ([]byte, error) {
	if cm.encoded != nil && cm.encodedID == id {
		return cm.encoded, nil
	}
	d := messages.Delta{Id: id, Copy: fromCommit(&cm.Commit)}
	b, err := d.MarshalVT()
	cm.encoded, cm.encodedID = b, id
	return b, err
}

// outcome is what the caller gets; called with Copies.mu held.
func (cm *commit) outcome(d *replica.Done) error {
	switch {
	case d.Err == nil:
		return nil
	case errors.Is(d.Err, replica.ErrTooFew):
		return messages.ErrTooFew
	case errors.Is(d.Err, replica.ErrBusy):
		return messages.ErrOverloaded
	case cm.refusal != nil && cm.refused >= cm.sent: // nobody has it
		return cm.refusal
	}
	return messages.ErrUnconfirmed
}

// ended is a commit or a gather whose callback is due.
type ended struct {
	commit *commit
	copies int
	err    error
	then   []loader
	found  []persistence.Commit
}

func (e *ended) tell() {
	if e.commit != nil {
		e.commit.done(e.copies, e.err)
	}
	for _, then := range e.then {
		then(e.found, nil)
	}
}

// end takes a commit or a gather out of the tables; called with mu held.
func (c *Copies) end(d *replica.Done, now time.Time) (ended, bool) {
	cm, ok := c.commits[d.ID]
	if !ok {
		then, found := c.gathers.end(d, now)
		c.metrics.gather(d.Provisional)
		return ended{then: then, found: found}, len(then) > 0
	}
	delete(c.commits, d.ID)
	if c.closing && len(c.commits) == 0 {
		close(c.idle)
	}
	err := cm.outcome(d)
	c.metrics.commit(err, now.Sub(cm.begin))
	return ended{commit: cm, copies: d.Copies, err: err}, true
}
