package copies

import (
	"errors"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/replica"
)

// Bounds of what is sent to one member.
const (
	batchDeltas = 256     // in one message
	batchBytes  = 1 << 20 // of it; more if one delta alone is larger
	batchAcks   = 4096
	maxDeltas   = 16 << 10 // that wait
	maxBytes    = 16 << 20
	maxAcks     = 64 << 10
	maxOthers   = 4096
	maxMembers  = 1024 // that something waits for
)

var errNoWay = errors.New("copies: there is no way to other members yet")

// sender holds what is to be sent, per member. One goroutine sends: what is
// queued while it hands one batch over is the next.
type sender struct {
	wake chan struct{}

	mu    sync.Mutex
	send  func(to string, m proto.Message) error
	to    map[string]*outgoing
	dirty []*outgoing
	end   bool
}

// outgoing is what waits for one member.
type outgoing struct {
	id     string
	listed bool // in dirty
	gone   bool

	deltas  [][]byte
	ids     []uint64 // of deltas
	bytes   int      // of deltas
	stored  []uint64
	refused []uint64
	others  []proto.Message
	dropped []uint64 // deltas that there was no room for
}

func (s *sender) init() {
	s.wake, s.to = make(chan struct{}, 1), map[string]*outgoing{}
	s.send = func(string, proto.Message) error { return errNoWay }
}

func (s *sender) connect(send func(to string, m proto.Message) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send = send
}

func (s *sender) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sender) close() {
	s.mu.Lock()
	s.end = true
	s.mu.Unlock()
	s.poke()
}

func (s *sender) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}

// keep forgets what waits for those who are no members.
func (s *sender) keep(t *topology.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, o := range s.to {
		if _, ok := t.Member(id); !ok {
			o.gone = true
			delete(s.to, id)
		}
	}
}

// queue is what waits for a member; called with mu held. It is sent soon.
func (s *sender) queue(id string) (*outgoing, bool) {
	o, ok := s.to[id]
	if !ok {
		if len(s.to) >= maxMembers || s.end {
			return nil, false
		}
		o = &outgoing{id: id}
		s.to[id] = o
	}
	if !o.listed {
		o.listed = true
		s.dirty = append(s.dirty, o)
		s.poke()
	}
	return o, true
}

// delta queues an encoded delta. One that there is no room for counts as
// refused by the member.
func (s *sender) delta(to string, id uint64, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.queue(to)
	switch {
	case !ok:
	case len(o.deltas) >= maxDeltas || o.bytes+len(b) > maxBytes:
		if len(o.dropped) < maxAcks {
			o.dropped = append(o.dropped, id)
		}
	default:
		o.deltas, o.ids, o.bytes = append(o.deltas, b), append(o.ids, id), o.bytes+len(b)
	}
}

// ack queues the answer to a delta.
func (s *sender) ack(to string, id uint64, stored bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.queue(to)
	switch {
	case !ok || len(o.stored)+len(o.refused) >= maxAcks:
	case stored:
		o.stored = append(o.stored, id)
	default:
		o.refused = append(o.refused, id)
	}
}

// other queues any other message, and says whether there was room.
func (s *sender) other(to string, ms ...proto.Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.queue(to)
	if !ok || len(o.others)+len(ms) > maxOthers {
		return false
	}
	o.others = append(o.others, ms...)
	return true
}

// parcel is what is handed over for one member in one go.
type parcel struct {
	to       string
	messages []proto.Message // deltas last
	ids      []uint64        // of the deltas
	bytes    int             // of them
	dropped  []uint64
}

// next takes the next parcel; false when nothing waits.
func (s *sender) next() (p parcel, send func(string, proto.Message) error, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.dirty) > 0 {
		o := s.dirty[0]
		s.dirty = s.dirty[1:]
		o.listed = false
		if o.gone {
			continue
		}
		p = o.take()
		if len(o.deltas)+len(o.stored)+len(o.refused) > 0 {
			o.listed = true
			s.dirty = append(s.dirty, o)
		}
		return p, s.send, true
	}
	s.dirty = nil
	return p, nil, false
}

func (o *outgoing) take() parcel {
	p := parcel{to: o.id, messages: o.others, dropped: o.dropped}
	o.others, o.dropped = nil, nil
	if len(o.stored)+len(o.refused) > 0 {
		m := &messages.DeltasStored{}
		m.Stored, o.stored = cut(o.stored, batchAcks)
		m.Refused, o.refused = cut(o.refused, batchAcks)
		p.messages = append(p.messages, m)
	}
	if len(o.deltas) > 0 {
		n := 0
		for n < len(o.deltas) && n < batchDeltas && (n == 0 || p.bytes+len(o.deltas[n]) <= batchBytes) {
			p.bytes += len(o.deltas[n])
			n++
		}
		m := &messages.Deltas{}
		m.Deltas, o.deltas = cut(o.deltas, n)
		p.ids, o.ids = cut(o.ids, n)
		o.bytes -= p.bytes
		p.messages = append(p.messages, m)
	}
	return p
}

// cut takes the first n, or all. What is left may go on growing in place.
func cut[T any](list []T, n int) (first, rest []T) {
	if len(list) <= n {
		return list, nil
	}
	return list[:n:n], list[n:]
}

// flush sends until nothing waits.
func (c *Copies) flush() {
	for {
		p, send, ok := c.out.next()
		if !ok {
			return
		}
		for _, m := range p.messages {
			d, isDeltas := m.(*messages.Deltas)
			err := send(p.to, m)
			switch {
			case err != nil && isDeltas:
				p.dropped = append(p.dropped, p.ids...)
			case err != nil:
				c.metrics.unsent.Inc()
			case isDeltas:
				c.metrics.deltasSent.Add(float64(len(d.Deltas)))
				c.metrics.bytesSent.Add(float64(p.bytes))
			}
		}
		c.dropped(p.to, p.dropped)
	}
}

// dropped makes deltas that were not sent count as refused.
func (c *Copies) dropped(to string, ids []uint64) {
	if len(ids) == 0 {
		return
	}
	c.metrics.deltasDropped.Add(float64(len(ids)))
	name := c.view.Load().name(to)
	c.step(func(m *replica.Machine, now time.Time) {
		for _, id := range ids {
			c.acked(m, now, name, id, false)
		}
	})
}

// acked takes the answer to a delta; called with mu held.
func (c *Copies) acked(m *replica.Machine, now time.Time, from replica.Member, id uint64, stored bool) {
	if !stored {
		if cm, ok := c.commits[id]; ok {
			cm.refused++
		}
	}
	m.Receive(now, from, replica.Ack{ID: id, OK: stored})
}
