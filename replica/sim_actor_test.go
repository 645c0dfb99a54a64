package replica

import "time"

// actor serves one user on one host, as long as it is asked.
type actor struct {
	p       *process
	user    int
	loading int // 0: it serves
	content record
	waiting []func()
	pending int // commits
	watched []registration
}

type registration struct {
	o  *observer
	at *host
}

// observer follows a user from some host.
type observer struct {
	user  int
	known uint64
}

// route sends something to whoever serves a user, by what a host knows.
func (w *world) route(via *host, user int, op func(a *actor)) {
	via.run(func(p *process) {
		holders := p.holders[shardOf(user)]
		for i, id := range holders {
			if w.hosts[id] == via || !p.suspects[id] {
				w.net.carry(via, w.hosts[id], func(q *process) { q.serve(user, i > 0, op) })
				return
			}
		}
	})
}

// serves says whether a request for a user is taken here: by the owner, and by
// a stand-in that suspects all before it.
func (p *process) serves(user int, standIn bool) bool {
	s := shardOf(user)
	if p.giving[s] {
		return false
	}
	if p.actors[user] != nil {
		return true
	}
	for i, id := range p.holders[s] {
		switch {
		case p.w.hosts[id] == p.host:
			return i == 0 || standIn
		case !p.suspects[id]:
			return false
		}
	}
	return false
}

func (p *process) serve(user int, standIn bool, op func(a *actor)) {
	if !p.serves(user, standIn) {
		return
	}
	a := p.actors[user]
	if a == nil {
		a = &actor{p: p, user: user}
		p.actors[user] = a
		a.load()
		a.idle()
	}
	if a.loading > 0 {
		a.waiting = append(a.waiting, func() { op(a) })
		return
	}
	op(a)
}

// idle lets the actor end some time later, when nothing is under way.
func (a *actor) idle() {
	w := a.p.w
	w.after(w.between(500*time.Millisecond, 4*time.Second), func() {
		switch {
		case a.p.actors[a.user] != a:
		case a.pending == 0 && a.loading == 0 && (w.calm || w.chance(0.5)):
			a.p.actors[a.user] = nil
		default:
			a.idle()
		}
	})
}

// load gathers what others know, where this is needed, and reads.
func (a *actor) load() {
	p, begin := a.p, a.p.beginning()
	a.loading++
	settled := p.machine.Settled(shardOf(a.user))
	read := func(d Done) {
		views := len(p.been)
		p.later(func() {
			a.loading--
			a.content.merge(&p.host.disk.users[a.user])
			p.observe(a.content.version)
			if !d.Provisional && len(p.been) == views && (!settled || views == begin.views) {
				p.w.checkFresh(a, begin)
			}
			if a.loading > 0 {
				return
			}
			waiting := a.waiting
			a.waiting = nil
			for _, op := range waiting {
				op()
			}
		})
	}
	if settled {
		read(Done{})
		return
	}
	id := p.id(read)
	p.step(func(m *Machine, now time.Time) { m.Gather(now, id, shardOf(a.user), userOf(a.user)) })
}

// beginning is what a process knows when it begins to load a user.
type beginning struct {
	at      time.Duration
	views   int              // that the process has had
	serials [maxHosts]uint64 // of the others' stays in the view; 0: not known
}

func (p *process) beginning() beginning {
	b := beginning{at: p.w.now, views: len(p.been)}
	for _, q := range p.machine.view.peers {
		b.serials[q.name[0]-'a'] = q.serial
	}
	return b
}

func (p *process) id(then func(Done)) uint64 {
	p.lastID++
	p.asks[p.lastID] = then
	return p.lastID
}

func (p *process) observe(version uint64) { p.last = max(p.last, version) }

// tick gives the next version.
func (p *process) tick() uint64 {
	now := uint64(p.host.clock().UnixMilli()) << 16
	p.last = max(p.last+8, now)&^7 | uint64(p.host.id)
	return p.last
}

func (a *actor) commit(r record, then func(d Done)) {
	p := a.p
	a.pending++
	id := p.id(func(d Done) {
		a.pending--
		then(d)
		p.give(shardOf(a.user))
	})
	data := &part{users: []int{a.user}, records: []record{r}}
	p.step(func(m *Machine, now time.Time) { m.Commit(now, id, shardOf(a.user), userOf(a.user), data) })
}

func (a *actor) publish() {
	w := a.p.w
	element, register := w.ledger.begin(a.user), w.r.IntN(registers)
	if element < 0 {
		return
	}
	var r record
	r.add(element)
	r.version = a.p.tick()
	r.stamps[register] = r.version
	a.content.merge(&r)
	a.commit(r, func(d Done) {
		if d.Err == nil {
			w.say("%s: element %d of user %d is acknowledged, %d copies", a.p.self(), element, a.user, d.Copies)
			w.ledger.ack(w, element, register, r.version, d.Copies)
		}
		a.notify()
	})
}

// announce is for a change of version alone: what the actor knows is another
// thing than was announced.
func (a *actor) announce() {
	a.content.version = a.p.tick()
	a.commit(record{version: a.content.version}, func(Done) { a.notify() })
}

func (a *actor) notify() {
	version := a.content.version
	for _, r := range a.watched {
		a.p.w.net.carry(a.p.host, r.at, func(*process) { r.o.known = max(r.o.known, version) })
	}
}

// foreign is told that the disk has got something about a user.
func (p *process) foreign(user int) {
	a := p.actors[user]
	if a == nil || a.loading > 0 {
		return
	}
	_, content := a.content.merge(&p.host.disk.users[user])
	p.observe(a.content.version)
	if content {
		a.announce()
	}
}

// register answers an observer with a version that is not below the one it has.
func (a *actor) register(o *observer, have uint64, at *host, again bool) {
	if a.content.version < have {
		if !again {
			a.load()
			a.waiting = append(a.waiting, func() { a.register(o, have, at, true) })
			return
		}
		a.p.observe(have)
		a.announce()
	}
	version := a.content.version
	a.watched = append(a.watched, registration{o, at})
	w := a.p.w
	w.net.carry(a.p.host, at, func(*process) {
		if version < have {
			w.fail("an observer of user %d that had version %x got %x", o.user, have, version)
		}
		o.known = max(o.known, version)
	})
}

// yieldAll hands over what this process serves and another one owns.
func (p *process) yieldAll() {
	for s := range p.giving {
		p.yield(uint16(s))
	}
}

func (p *process) yield(s uint16) {
	serving := false
	for u := int(s); u < simUsers; u += simShards {
		serving = serving || p.actors[u] != nil
	}
	h := p.holders[s]
	p.giving[s] = serving && len(h) > 0 && h[0] != p.host.id && !p.suspects[h[0]]
	if p.giving[s] {
		p.give(s)
		p.w.after(time.Second, func() {
			p.host.run(func(q *process) {
				if q == p {
					p.yield(s)
				}
			})
		})
	}
}

// give sends what is known of a shard to its owner once no commit is under way.
func (p *process) give(s uint16) {
	if !p.giving[s] {
		return
	}
	var last uint64
	for u := int(s); u < simUsers; u += simShards {
		if a := p.actors[u]; a != nil {
			if a.pending > 0 {
				return
			}
			last = max(last, a.content.version)
		}
	}
	from, to := p.host, p.w.hosts[p.holders[s][0]]
	p.w.net.carry(from, to, func(q *process) {
		if !q.take(s, last) {
			return
		}
		q.w.net.carry(to, from, func(r *process) {
			if r == p && p.giving[s] {
				p.giving[s] = false
				p.forget(s)
			}
		})
	})
}

func (p *process) forget(s uint16) {
	for u := int(s); u < simUsers; u += simShards {
		if a := p.actors[u]; a != nil && a.pending == 0 {
			p.actors[u] = nil
		}
	}
}

// take is told that another has served a shard until now.
func (p *process) take(s uint16, last uint64) bool {
	if h := p.holders[s]; len(h) == 0 || h[0] != p.host.id {
		return false
	}
	p.observe(last)
	p.handed[s] = p.w.now
	p.step(func(m *Machine, now time.Time) { m.Unsettle(now, s) })
	for u := int(s); u < simUsers; u += simShards {
		if a := p.actors[u]; a != nil {
			a.load()
		}
	}
	return true
}

// wakeUp is called after the process was stopped for a while.
func (p *process) wakeUp() {
	p.step((*Machine).UnsettleAll)
	for s := range p.handed {
		p.handed[s] = p.w.now
	}
	for _, a := range p.actors {
		if a != nil {
			a.load()
		}
	}
}
