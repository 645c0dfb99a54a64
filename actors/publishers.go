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

	// guarded by its shard:
	refs      int32
	endpoints uint64           // sum of the spread numbers of those that are registered
	version   presence.Version // the newest that has come
}

// publishers interns the users that this gateway's endpoints show.
type publishers struct {
	seed   maphash.Seed
	sums   sums // what is registered, as this gateway believes
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

// registered notes that an endpoint is registered with the user, or no more.
func (p *publishers) registered(x *publisher, endpoint uint32, is bool) {
	s := p.shard(x.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	change := spread(uint64(endpoint))
	if !is {
		change = -change
	}
	p.alter(x, x.endpoints+change, x.version)
}

// newest is the newest version that has come of a user.
func (p *publishers) newest(x *publisher) presence.Version {
	s := p.shard(x.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return x.version
}

// received notes a version that has come and returns the user, nil where no
// endpoint of this gateway shows it.
func (p *publishers) received(id presence.UserID, v presence.Version) *publisher {
	s := p.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.byID[id]
	if x != nil && v > x.version {
		p.alter(x, x.endpoints, v)
	}
	return x
}

// alter is called with the shard's lock held.
func (p *publishers) alter(x *publisher, endpoints uint64, v presence.Version) {
	hash := x.id.Hash()
	from := share(hash, x.endpoints, x.version)
	x.endpoints, x.version = endpoints, v
	p.sums.change(uint16(hash%presence.Shards), from, share(hash, endpoints, v))
}

// count is how many users are shown, and by how many watches.
func (p *publishers) count() (users, watches int) {
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		users += len(s.byID)
		for _, x := range s.byID {
			watches += int(x.refs)
		}
		s.mu.Unlock()
	}
	return users, watches
}

// find is nil where no endpoint of this gateway shows the user.
func (p *publishers) find(id presence.UserID) *publisher {
	s := p.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}
