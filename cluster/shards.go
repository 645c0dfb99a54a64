package cluster

import (
	"sync"
	"sync/atomic"
	"time"

	"rollcall/cluster/topology"
	"rollcall/presence"
	"rollcall/wheel"
)

// shardState says what this node does with messages for a shard.
type shardState uint32

const (
	gone     shardState = iota // not the owner: returns them
	served                     // the owner: handles them
	awaited                    // the owner; the one before still serves: relays them to it
	taking                     // the owner; the one before is handing over: keeps them
	held                       // not the owner, which is not ready or cannot be reached: handles them
	yielding                   // not the owner; hands over: returns them
	shardStates
)

// maxKept bounds the messages kept for shards that are being handed over.
const maxKept = 100_000

const (
	// takingTime is how long a handoff of one shard may show no progress before
	// the new owner serves without the rest, which is merged when it comes.
	takingTime = 3 * time.Second
	// awaitTime is the same for a holder of which nothing is heard at all.
	awaitTime = 10 * time.Second
	// hearTime is how long those members are waited for that have not said
	// whether they have something of a shard, when nobody else has.
	hearTime  = time.Second
	watchTime = 250 * time.Millisecond
)

// shards is the state of every shard at this node. A state is written with the
// lock of mu held, and that of the shard's directory slot where a deliverable
// state ends; mu comes first.
type shards struct {
	node  *Node
	state [presence.Shards]atomic.Uint32

	mu      sync.Mutex
	from    map[uint16]string        // awaited, taking: the name of the node that has it, if known
	until   map[uint16]time.Time     // when it is served without more of it
	heard   map[string]time.Time     // progress of an old owner, by name
	claims  map[string]*topology.Set // by name: what a member has under this table and does not own
	waiting map[uint16][]*parcel
	kept    int
	timer   wheel.Timer
	armed   bool

	standing topology.Set // shards held in the place of an owner that could not be reached

	generation atomic.Uint64 // rises with every new list of members; written with mu held
}

func (s *shards) start(n *Node) {
	s.node = n
	s.from, s.until = map[uint16]string{}, map[uint16]time.Time{}
	s.heard, s.waiting = map[string]time.Time{}, map[uint16][]*parcel{}
	s.claims = map[string]*topology.Set{}
	s.timer.Target = s
}

func (s *shards) of(shard uint16) shardState { return shardState(s.state[shard].Load()) }

func (s *shards) set(shard uint16, to shardState) { s.state[shard].Store(uint32(to)) }

// takes says whether an actor of the shard may get a message here.
func (s *shards) takes(shard uint16, handoff bool) bool {
	switch s.of(shard) {
	case served:
		return true
	case held:
		return !handoff
	case awaited, taking:
		return handoff
	}
	return false
}

// holder is the member that serves a shard of ours for the time being, empty
// when there is none any more. What comes from itself says so: it does not.
func (s *shards) holder(shard uint16, from string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of(shard) != awaited {
		return ""
	}
	id := topology.NodeOf(s.from[shard])
	if id == from {
		s.await(shard, taking, s.from[shard])
		return ""
	}
	return id
}

// refused notes that a member does not handle messages for a shard: if this
// node waits for it to hand the shard over, what comes is kept until then.
func (s *shards) refused(shard uint16, by string) {
	if s.of(shard) == awaited {
		s.holder(shard, by)
	}
}

// keep holds a message back until the handoff of its shard is over.
func (s *shards) keep(p *parcel) (kept bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shard := p.to.Shard()
	if s.of(shard) != taking {
		return false, nil
	}
	if s.kept >= maxKept {
		return false, ErrOverloaded
	}
	s.kept++
	s.waiting[shard] = append(s.waiting[shard], p)
	return true, nil
}

// await makes a shard wait for its old owner; called with mu held.
func (s *shards) await(shard uint16, state shardState, holder string) {
	s.set(shard, state)
	now := s.node.Now()
	s.from[shard], s.until[shard], s.heard[holder] = holder, now.Add(takingTime), now
	if !s.armed {
		s.armed = true
		s.node.Wheel.Schedule(&s.timer, now.Add(watchTime))
	}
}

// awaitWord keeps what comes for a shard until every member has said what it
// has of it; called with mu held.
func (s *shards) awaitWord(shard uint16) {
	s.await(shard, taking, "")
	s.until[shard] = s.node.Now().Add(hearTime)
}

// forget ends a wait and returns what was kept; called with mu held.
func (s *shards) forget(shard uint16) []*parcel {
	kept := s.waiting[shard]
	s.kept -= len(kept)
	delete(s.waiting, shard)
	delete(s.from, shard)
	delete(s.until, shard)
	return kept
}

// serve makes this node serve a shard of its own; called with mu held. What was
// kept is delivered first: it is marked as part of the handoff so that it passes
// before anything sent later does.
func (s *shards) serve(shard uint16) {
	state := s.of(shard)
	if state == awaited {
		s.set(shard, taking)
	}
	for _, p := range s.forget(shard) {
		var err error = ErrTimeout
		if !p.late(s.node.Now()) {
			p.handoff = true
			err = s.node.deliver(p)
			p.handoff = false
		}
		if err != nil {
			s.node.Go(func() { s.node.fail(p, err) }) // outside the lock
		}
	}
	s.set(shard, served)
}

// Fire serves what has waited too long for an old owner.
func (s *shards) Fire(_ *wheel.Timer, now time.Time) {
	late := s.late(now)
	if late.Len() > 0 {
		s.node.metrics.timeouts.Add(float64(late.Len()))
		s.node.log.Warn("the old owner of shards did not hand them over in time, they are served without",
			"shards", late.Len())
		s.node.announce(late)
	}
}

func (s *shards) late(now time.Time) (late topology.Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for shard, holder := range s.from {
		until := s.until[shard]
		if s.of(shard) == awaited {
			until = s.heard[holder].Add(awaitTime)
		}
		if !now.Before(until) {
			s.serve(shard)
			late.Add(shard)
		}
	}
	if s.armed = len(s.from) > 0; s.armed {
		s.node.Wheel.Schedule(&s.timer, now.Add(watchTime))
	} else {
		clear(s.heard)
	}
	return late
}

// progress notes that an old owner is at work on a shard.
func (s *shards) progress(shard uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if holder, ok := s.from[shard]; ok {
		now := s.node.Now()
		s.until[shard], s.heard[holder] = now.Add(takingTime), now
	}
}

// count is how many shards are in each state.
func (s *shards) count() (n [shardStates]int) {
	for i := range s.state {
		n[s.state[i].Load()]++
	}
	return n
}

// standsIn is how many shards are held in the place of their owners.
func (s *shards) standsIn() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.standing.Len()
}

// delivering are the shards whose messages are handled here.
func (s *shards) delivering() (set topology.Set) {
	for i := range s.state {
		if st := s.of(uint16(i)); st == served || st == held {
			set.Add(uint16(i))
		}
	}
	return set
}
