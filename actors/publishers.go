package actors

import (
	"hash/maphash"
	"sync"

	"rollcall/presence"
)

const publisherShards = 64

// publisher is a user that endpoints of this gateway show. Endpoints keep a
// pointer to it, so that a watch costs them 16 bytes. Its number keys the
// endpoints' queues and is unique among those in use.
type publisher struct {
	id     presence.UserID
	number uint32
	refs   int32 // guarded by its shard
}

// publishers interns the users that this gateway's endpoints show.
type publishers struct {
	seed   maphash.Seed
	shards [publisherShards]publisherShard
}

type publisherShard struct {
	mu   sync.Mutex
	byID map[presence.UserID]*publisher
	free []uint32
	next uint32
}

func (p *publishers) init() {
	p.seed = maphash.MakeSeed()
	for i := range p.shards {
		p.shards[i].byID = map[presence.UserID]*publisher{}
		p.shards[i].next = uint32(i)
	}
}

func (p *publishers) shard(id presence.UserID) *publisherShard {
	return &p.shards[maphash.String(p.seed, id.MRI)%publisherShards]
}

// acquire counts one more endpoint that shows the user.
func (p *publishers) acquire(id presence.UserID) *publisher {
	s := p.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.byID[id]
	if x == nil {
		x = &publisher{id: id, number: s.number()}
		s.byID[id] = x
	}
	x.refs++
	return x
}

func (s *publisherShard) number() uint32 {
	if n := len(s.free); n > 0 {
		number := s.free[n-1]
		s.free = s.free[:n-1]
		return number
	}
	s.next += publisherShards
	return s.next
}

func (p *publishers) release(x *publisher) {
	s := p.shard(x.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.refs--; x.refs == 0 {
		delete(s.byID, x.id)
		s.free = append(s.free, x.number)
	}
}

// find is nil where no endpoint of this gateway shows the user.
func (p *publishers) find(id presence.UserID) *publisher {
	s := p.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}
