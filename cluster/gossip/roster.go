package gossip

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"

	"rollcall/cluster/topology"
)

const (
	maxMembers = 1024           // remembered, of which the dead and the left give way
	forgetDead = 24 * time.Hour // a member out of sight for longer is no longer sought
	forgetLeft = 10 * time.Minute
)

var errFull = errors.New("there are too many members")

// State is what this node thinks of a member.
type State string

// The states. A suspect does not answer this node's probes and is still a
// member.
const (
	Alive   State = "alive"
	Suspect State = "suspect"
	Dead    State = "dead"
	Left    State = "left" // it had said that it would leave
)

// Peer is a member as this node knows it.
type Peer struct {
	topology.Member
	Gossip string    // host:port of its gossip
	State  State     // of this node itself: alive, or left
	Since  time.Time // it is in this state
}

func (p *Peer) live() bool { return p.State == Alive || p.State == Suspect }

// roster is what is known of the members, by the names of their processes. Its
// methods are called under memberlist's locks and call nothing of it.
type roster struct {
	cluster string
	now     func() time.Time

	mu    sync.Mutex
	self  Peer
	meta  []byte // of self
	peers map[string]*record
}

type record struct {
	Peer
	meta []byte // that was read last
}

// update changes this member's own description, unless the outcome is no member.
func (r *roster) update(f func(*topology.Member)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.self.Member
	f(&m)
	m.ID, m.Incarnation = r.self.ID, r.self.Incarnation
	meta, err := encode(r.cluster, m)
	if err != nil {
		return err
	}
	r.self.Member, r.meta = m, meta
	return nil
}

// leave notes that this member has left.
func (r *roster) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.self.State, r.self.Since = Left, r.now()
}

func (r *roster) description() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.meta
}

// room says whether a member may be added, and makes room if it can.
func (r *roster) room(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.peers[name] != nil || len(r.peers) < maxMembers {
		return nil
	}
	r.forget()
	if len(r.peers) < maxMembers {
		return nil
	}
	var oldest *record
	for _, p := range r.peers {
		if !p.live() && (oldest == nil || p.Since.Before(oldest.Since)) {
			oldest = p
		}
	}
	if oldest == nil {
		return errFull
	}
	delete(r.peers, oldest.Name())
	return nil
}

// seen notes that a member is alive, or describes itself anew.
func (r *roster) seen(m topology.Member, gossip string, meta []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[m.Name()]
	if p == nil {
		p = &record{}
		r.peers[m.Name()] = p
	}
	if !p.live() {
		p.State, p.Since = Alive, r.now()
	}
	p.Member, p.Gossip, p.meta = m, gossip, meta
	r.forget()
}

// same returns what was read before, if a member describes itself as before.
func (r *roster) same(name string, meta []byte) (topology.Member, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[name]
	if p == nil || string(p.meta) != string(meta) {
		return topology.Member{}, false
	}
	return p.Member, true
}

// lost notes that a member is no more, and says what it was.
func (r *roster) lost(name string) (was Peer, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[name]
	if p == nil || !p.live() {
		return Peer{}, false
	}
	p.State, p.Since = Dead, r.now()
	if p.Leaving {
		p.State = Left
	}
	was = p.Peer
	r.forget()
	return was, true
}

// answered notes whether a member answers probes. It says whether that is new.
func (r *roster) answered(name string, well bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, state := r.peers[name], Alive
	if !well {
		state = Suspect
	}
	if p == nil || !p.live() || p.State == state {
		return false
	}
	p.State, p.Since = state, r.now()
	return true
}

// forget drops what is of no more use: processes that are gone and have a
// successor, and those that have been gone for long.
func (r *roster) forget() {
	now := r.now()
	newest := map[string]uint64{r.self.ID: r.self.Incarnation}
	for _, p := range r.peers {
		newest[p.ID] = max(newest[p.ID], p.Incarnation)
	}
	for name, p := range r.peers {
		gone := now.Sub(p.Since)
		switch {
		case p.live():
		case p.Incarnation < newest[p.ID], p.State == Left && gone > forgetLeft, gone > forgetDead:
			delete(r.peers, name)
		}
	}
}

// members are the live ones, sorted by id: of several processes of a member the
// newest. This one is always itself.
func (r *roster) members() []topology.Member {
	var list []topology.Member
	self := r.own().ID
	for _, p := range r.known() {
		if p.live() || p.ID == self {
			list = append(list, p.Member)
		}
	}
	return list
}

// own is this member.
func (r *roster) own() topology.Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.self.Member
}

// known are all members, sorted by id, each once: the newest process that is
// alive, or else the newest one that was.
func (r *roster) known() []Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	best := map[string]*Peer{}
	for _, p := range r.peers {
		b := best[p.ID]
		if b == nil || p.live() && !b.live() || p.live() == b.live() && p.Incarnation > b.Incarnation {
			best[p.ID] = &p.Peer
		}
	}
	best[r.self.ID] = &r.self
	list := make([]Peer, 0, len(best))
	for _, p := range best {
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// missing are the members that are dead and have not left.
func (r *roster) missing() []Peer {
	return slices.DeleteFunc(r.known(), func(p Peer) bool { return p.State != Dead })
}

// successor is a newer live process of this member.
func (r *roster) successor() (Peer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.peers {
		if p.ID == r.self.ID && p.live() && p.Incarnation > r.self.Incarnation {
			return p.Peer, true
		}
	}
	return Peer{}, false
}
