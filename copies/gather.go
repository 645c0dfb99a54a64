package copies

import (
	"time"

	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
	"rollcall/replica"
)

const (
	// gatherAgain is how long a user's gather counts for further loads of it.
	gatherAgain = time.Second
	// maxWaiting bounds the loads that wait for one gather.
	maxWaiting = 1024
)

// gather is the asking of others for one user, under way or just over.
type gather struct {
	user    presence.UserID
	id      uint64
	waiting []loader
	found   []persistence.Commit // what others have and the disk here has not taken
	over    time.Time            // zero while it is under way
}

// loader goes on when a gather is over, with what others have and the disk here
// has not taken.
type loader func(found []persistence.Commit, err error)

// maxFound bounds what is kept of one user: a copy from each that was asked.
const maxFound = 16

// gathers are guarded by Copies.mu.
type gathers struct {
	byUser map[presence.UserID]*gather
	byID   map[uint64]*gather // under way
	recent []*gather          // over, oldest first
}

func (g *gathers) init() {
	g.byUser, g.byID = map[presence.UserID]*gather{}, map[uint64]*gather{}
}

// forget makes the next load of every user ask again: who is to be asked has
// changed. What is under way answers those who wait for it.
func (g *gathers) forget() {
	clear(g.byUser)
	g.recent = nil
}

func (g *gathers) underWay(u presence.UserID) bool {
	one, ok := g.byUser[u]
	return ok && one.over.IsZero()
}

// keep remembers a copy that the disk has not taken until its gather is over.
func (g *gathers) keep(c persistence.Commit) {
	for _, one := range g.byID {
		if one.user == c.User && len(one.found) < maxFound {
			one.found = append(one.found, c)
		}
	}
}

// end takes one that is over.
func (g *gathers) end(d *replica.Done, now time.Time) (waiting []loader, found []persistence.Commit) {
	one, ok := g.byID[d.ID]
	if !ok {
		return nil, nil
	}
	delete(g.byID, d.ID)
	waiting = one.waiting
	one.waiting, one.over = nil, now
	switch {
	case g.byUser[one.user] != one:
	case d.Provisional: // who loads next asks again
		delete(g.byUser, one.user)
	default:
		g.recent = append(g.recent, one)
	}
	return waiting, one.found
}

// expire forgets those that are over for too long.
func (g *gathers) expire(now time.Time) {
	n := 0
	for n < len(g.recent) && now.Sub(g.recent[n].over) >= gatherAgain {
		if one := g.recent[n]; g.byUser[one.user] == one {
			delete(g.byUser, one.user)
		}
		g.recent[n] = nil
		n++
	}
	g.recent = g.recent[n:]
}

// clear ends all and returns who waits.
func (g *gathers) clear() (waiting []loader) {
	for _, one := range g.byID {
		waiting = append(waiting, one.waiting...)
	}
	g.init()
	g.recent = nil
	return waiting
}

// gather calls then once this node has what the others know of a user, or
// could be made to say in time.
func (c *Copies) gather(u presence.UserID, then loader) {
	shard := u.Shard()
	c.mu.Lock()
	switch {
	case c.closing:
		c.mu.Unlock()
		then(nil, messages.ErrClosing)
		return
	case c.machine.Settled(shard):
		c.mu.Unlock()
		then(nil, nil)
		return
	}
	now := c.cfg.Now()
	g := &c.gathers
	g.expire(now)
	one, ok := g.byUser[u]
	switch {
	case ok && !one.over.IsZero():
		found := one.found
		c.mu.Unlock()
		then(found, nil)
		return
	case ok && len(one.waiting) >= maxWaiting:
		c.mu.Unlock()
		then(nil, messages.ErrOverloaded)
		return
	case ok:
		one.waiting = append(one.waiting, then)
		c.mu.Unlock()
		return
	}
	c.lastID++
	one = &gather{user: u, id: c.lastID, waiting: []loader{then}}
	g.byUser[u], g.byID[one.id] = one, one
	c.machine.Gather(now, one.id, shard, nameUser(u))
	todo := c.take(now)
	c.mu.Unlock()
	c.carryOut(todo)
}

// Load reads a user, after asking the other holders where this node may have
// missed something. done is as with persistence.Store.Load.
func (c *Copies) Load(u presence.UserID, done func(persistence.Loaded, error)) {
	c.gather(u, func(found []persistence.Commit, err error) {
		if err != nil {
			done(persistence.Loaded{}, err)
			return
		}
		c.cfg.Disk.Load(u, func(l persistence.Loaded, err error) {
			for i := range found {
				join(&l, &found[i])
			}
			done(l, err)
		})
	})
}

// LoadWatch reads the list of one endpoint of u as Load does.
func (c *Copies) LoadWatch(u presence.UserID, endpoint string, done func(presence.Element, bool, error)) {
	c.gather(u, func(found []persistence.Commit, err error) {
		if err != nil {
			done(presence.Element{}, false, err)
			return
		}
		c.cfg.Disk.LoadWatch(u, endpoint, func(e presence.Element, ok bool, err error) {
			for i := range found {
				for _, other := range found[i].Elements {
					if other.Key == presence.WatchKey(endpoint) && (!ok || other.Stamp.Compare(e.Stamp) > 0) {
						e, ok = other, true
					}
				}
			}
			done(e, ok && err == nil, err)
		})
	})
}

// join merges what the disk has not taken into what it has.
func join(l *persistence.Loaded, c *persistence.Commit) {
	for _, e := range c.Elements {
		if kind, _ := e.Key.Split(); kind != presence.KindWatch {
			l.Record.Merge(e)
		}
	}
	if c.Version > l.Version {
		l.State, l.Version, l.Wake, l.Found = c.State, c.Version, c.Wake, true
	}
}
