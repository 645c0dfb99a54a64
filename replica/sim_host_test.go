package replica

import (
	"fmt"
	"time"
)

// standing is what membership says of a host.
type standing struct {
	alive, leaving bool
	process        int
}

// host is a machine with a disk, on which one process after the other runs.
type host struct {
	w       *world
	id      int
	started int // processes so far
	names   []Member
	process *process
	disk    *disk
	paused  bool
	held    []func() // what came while it was paused
	leaving bool
	gone    bool          // for good
	lost    time.Duration // when it lost its disk last
	offset  time.Duration
	known   [maxHosts]standing
}

func (h *host) String() string { return string(rune('a' + h.id)) }

func (w *world) newHost() *host {
	h := &host{w: w, id: len(w.hosts), disk: &disk{}, offset: w.between(-2*time.Second, 2*time.Second)}
	w.hosts = append(w.hosts, h)
	return h
}

// name of a process of a host.
func (h *host) name(process int) Member {
	for len(h.names) <= process {
		h.names = append(h.names, Member(fmt.Sprintf("%s#%d", h, len(h.names))))
	}
	return h.names[process]
}

func (h *host) standing() standing {
	return standing{alive: !h.gone, leaving: h.leaving, process: max(h.started, 1)}
}

// run lets the process of a host do something, later if it is paused.
func (h *host) run(do func(p *process)) {
	if h.paused {
		h.held = append(h.held, func() { h.run(do) })
		return
	}
	if h.process != nil {
		do(h.process)
	}
}

func (h *host) clock() time.Time { return time.Unix(1_800_000_000, 0).Add(h.w.now + h.offset) }

// process is one run of a node: a machine, and what carries it out.
type process struct {
	host     *host
	w        *world
	number   int
	machine  *Machine
	view     []standing // by host
	sets     [simShards][]Member
	holders  [simShards][]int
	entered  time.Duration // when the view was
	been     []uint64      // tables that it was in
	suspects [maxHosts]bool
	lastID   uint64
	last     uint64 // of the hybrid clock
	scanned  [simShards]time.Duration
	armed    time.Time
	actors   [simUsers]*actor
	asks     map[uint64]func(Done)    // commits and gathers under way
	handed   [simShards]time.Duration // when another owner's handover was taken
	giving   [simShards]bool
}

func (h *host) start() {
	w := h.w
	h.started++
	h.known[h.id] = h.standing()
	p := &process{host: h, w: w, number: h.started, asks: map[uint64]func(Done){}}
	p.lastID = uint64(h.clock().UnixNano()) + uint64(h.started)<<40
	for s := range p.scanned {
		p.scanned[s] = w.now
		p.handed[s] = -1
		if h.started > 1 {
			p.scanned[s] += w.between(0, 1500*time.Millisecond)
		}
	}
	for u := range h.disk.users {
		r := &h.disk.users[u]
		p.last = max(p.last, r.version, r.stamps[0], r.stamps[1], r.stamps[2])
	}
	c := Config{Ack: w.ack, Min: 1, Digests: digestsOf{p}, Seed: w.r.Uint64(), shards: simShards, bugs: w.plant.machine}
	p.machine = New(c, h.clock())
	h.process = p
	w.say("%s starts", p.self())
	p.adopt()
}

func (p *process) self() Member { return p.host.name(p.number) }

// dead says that this is not what runs on the host any more.
func (p *process) dead() bool { return p.host.process != p }

type digestsOf struct{ p *process }

func (d digestsOf) Root(s uint16) (uint64, bool) {
	return d.p.host.disk.roots[s], d.p.w.now >= d.p.scanned[s]
}
func (d digestsOf) Mark() uint64 { return 0 }

// adopt makes the view from what is known of the others.
func (p *process) adopt() {
	h := p.host
	p.view = make([]standing, maxHosts)
	var members []Member
	table := uint64(7)
	for id, s := range h.known {
		if !s.alive {
			continue
		}
		p.view[id] = s
		members = append(members, p.w.hosts[id].name(s.process))
		table = simHash(table ^ uint64(id+1)<<32 ^ uint64(s.process)<<1)
		if s.leaving {
			table++
		}
	}
	for s := range p.sets {
		p.sets[s], p.holders[s] = nil, nil
		for _, id := range p.w.rank[s] {
			if v := p.view[id]; v.alive && !v.leaving && len(p.sets[s]) < 3 {
				p.sets[s] = append(p.sets[s], p.w.hosts[id].name(v.process))
				p.holders[s] = append(p.holders[s], id)
			}
		}
	}
	p.entered = p.w.now
	if p.w.calm {
		p.w.views++
	}
	p.been = append(p.been, table)
	p.w.say("%s sees %v", p.self(), members)
	p.machine.SetView(h.clock(), View{
		Table: table, Self: p.self(), Members: members,
		Sets: func(s uint16) []Member { return p.sets[s] },
	})
	for _, y := range p.w.hosts {
		if p.suspects[y.id] && y != h {
			p.machine.Suspect(h.clock(), h.nameOf(y), true)
		}
	}
	p.carryOut()
	p.yieldAll()
}

// nameOf is how this host calls another: by the process that it knows of.
func (h *host) nameOf(y *host) Member { return y.name(h.known[y.id].process) }

func (p *process) suspect(y *host, suspected bool) {
	if p.suspects[y.id] == suspected {
		return
	}
	p.suspects[y.id] = suspected
	p.w.say("%s suspects %s: %v", p.self(), y, suspected)
	p.machine.Suspect(p.host.clock(), p.host.nameOf(y), suspected)
	p.carryOut()
	p.yieldAll()
}

// step gives the machine an input and does what it wants.
func (p *process) step(in func(m *Machine, now time.Time)) {
	in(p.machine, p.host.clock())
	p.carryOut()
}

func (p *process) carryOut() {
	for _, o := range p.machine.Take() {
		p.do(o)
	}
	p.rearm()
}

func (p *process) rearm() {
	next := p.machine.Next()
	if next.IsZero() || next.Equal(p.armed) {
		return
	}
	p.armed = next
	p.w.after(next.Sub(p.host.clock()), func() {
		p.host.run(func(q *process) {
			if q == p && p.armed.Equal(next) {
				p.armed = time.Time{}
				p.w.ticks++
				p.step((*Machine).Tick)
			}
		})
	})
}

func (p *process) do(o Output) {
	switch o := o.(type) {
	case Send:
		p.send(o.To, o.Message)
	case Write:
		p.write(o.ID, o.Data.(*part))
	case Absorb:
		p.write(o.ID, o.Data.(*part))
	case Done:
		if ask := p.asks[o.ID]; ask != nil {
			delete(p.asks, o.ID)
			views := len(p.been)
			p.w.after(0, func() {
				p.host.run(func(q *process) {
					if q == p {
						o.Provisional = o.Provisional || len(p.been) != views // it says nothing of another view
						ask(o)
					}
				})
			})
		}
	case ServeFetch:
		p.later(func() {
			u := userIn(o.User)
			p.send(o.To, Copy{ID: o.ID, OK: true, Data: &part{[]int{u}, []record{p.host.disk.users[u]}, true}})
		})
	case ServePull:
		p.later(func() {
			d := p.host.disk
			data, next := d.page(o.Pull.Shard, o.Pull.Have.(have), o.Pull.After)
			p.send(o.To, Page{ID: o.Pull.ID, Shard: o.Pull.Shard, Root: d.roots[o.Pull.Shard], Data: data, Next: next, OK: true})
		})
	case Drop:
		p.drop(o)
	}
}

func userOf(u int) User    { return User(rune('A' + u)) }
func userIn(u User) int    { return int(u[0] - 'A') }
func shardOf(u int) uint16 { return uint16(u % simShards) }

// later is for reads.
func (p *process) later(do func()) {
	p.w.after(p.w.between(0, 5*time.Millisecond), func() {
		p.host.run(func(q *process) {
			if q == p {
				do()
			}
		})
	})
}

func (p *process) send(to Member, msg Message) {
	if pull, ok := msg.(Pull); ok {
		pull.Have = p.host.disk.have(pull.Shard)
		msg = pull
	}
	p.w.messages++
	from := p.host
	if p.w.telling {
		p.w.say("%s -> %s %T%+v", p.self(), to, msg, msg)
	}
	p.w.net.carry(from, p.w.hosts[to[0]-'a'], func(q *process) {
		q.step(func(m *Machine, now time.Time) { m.Receive(now, q.host.nameOf(from), msg) })
	})
}

// queue does something on the disk, not before what was asked for before.
func (p *process) queue(do func(d *disk, ok bool), crashed func(d *disk)) {
	d := p.host.disk
	d.free = max(d.free, p.w.now+p.w.between(500*time.Microsecond, p.w.write)) // many at once, in order
	full := d.full
	p.w.after(d.free-p.w.now, func() {
		if p.dead() {
			if crashed != nil && p.host.disk == d && !full {
				crashed(d)
			}
			return
		}
		p.host.run(func(q *process) {
			if q == p {
				do(d, !full)
			}
		})
	})
}

// write stores a part. What was under way when the process died may be on the
// disk or not.
func (p *process) write(id uint64, data *part) {
	lucky := p.w.chance(0.5)
	p.queue(func(d *disk, ok bool) {
		var changed []int
		if ok {
			changed = data.put(p.w, d)
		}
		p.step(func(m *Machine, now time.Time) { m.Wrote(now, id, ok) })
		for _, u := range changed {
			p.foreign(u)
		}
	}, func(d *disk) {
		if lucky {
			data.put(p.w, d)
		}
	})
}

func (p *process) drop(o Drop) {
	holders := p.holders[o.Shard]
	p.queue(func(d *disk, ok bool) {
		was := d.users
		if d.drop(o.Shard, o.Root) {
			p.w.say("%s drops %d", p.self(), o.Shard)
			p.w.checkKept("after %s dropped shard %d", p.self(), o.Shard)
			p.w.checkDropped(p.self(), &was, o.Shard, holders)
		}
		p.step(func(m *Machine, now time.Time) { m.Wrote(now, o.ID, true) })
	}, nil)
}
