package replica

import "time"

// nextOp is what clients do.
func (w *world) nextOp() {
	if w.calm {
		return
	}
	via, user := w.anyHost(), w.r.IntN(simUsers)
	if w.chance(0.7) {
		w.route(via, user, (*actor).publish)
	} else {
		w.observe(w.watch[user], via)
	}
	w.after(w.between(0, 120*time.Millisecond), w.nextOp)
}

func (w *world) observe(o *observer, via *host) {
	have := o.known
	w.route(via, o.user, func(a *actor) { a.register(o, have, via, false) })
}

func (w *world) anyHost() *host {
	for {
		if h := w.hosts[w.r.IntN(len(w.hosts))]; !h.gone {
			return h
		}
	}
}

// nextFault does something bad and, later, undoes it.
func (w *world) nextFault() {
	if w.calm {
		return
	}
	x, y := w.anyHost(), w.anyHost()
	lasts := time.Duration(w.tempo * float64(w.between(200*time.Millisecond, 4*time.Second)))
	switch w.r.IntN(14) {
	case 0, 1:
		w.crash(x)
		w.after(lasts, func() { w.restart(x) })
	case 2:
		if w.ledger.lost == 0 {
			w.crash(x)
			w.loseDisk(x)
			w.after(lasts, func() { w.restart(x) })
		}
	case 3:
		w.pause(x, lasts)
	case 4:
		w.cut(x, y, lasts)
	case 5:
		w.cut(x, y, lasts)
		w.cut(y, x, lasts)
	case 6:
		w.isolate(x, lasts)
	case 7, 8:
		w.mistake(x, lasts)
	case 9:
		w.join()
	case 10:
		w.leave(x)
	case 11:
		x.offset += w.between(-time.Minute, time.Minute)
		w.say("the clock of %s jumps", x)
	case 12, 13:
		d := x.disk
		d.full = true
		w.say("the disk of %s is full", x)
		w.after(lasts, func() { d.full = false })
	}
	w.after(w.gap(), w.nextFault)
}

func (w *world) crash(x *host) {
	if x.process == nil {
		return
	}
	w.say("%s is killed", x)
	x.process, x.paused, x.held = nil, false, nil
	w.noticeAll(x)
	w.tellOf(x, time.Second, 3*time.Second)
}

func (w *world) loseDisk(x *host) {
	w.say("%s loses its disk", x)
	w.ledger.lost++
	w.ledger.lose()
	x.disk, x.lost = &disk{}, w.now
	w.checkKept("after %s lost its disk", x)
}

func (w *world) restart(x *host) {
	if x.process != nil || x.gone {
		return
	}
	if w.chance(0.5) { // knows nobody at first
		x.known = [maxHosts]standing{}
	}
	x.start()
	w.noticeAll(x)
	w.tellOf(x, 0, 1500*time.Millisecond)
	w.hearAll(x)
}

// hearAll lets a host hear of all others.
func (w *world) hearAll(x *host) {
	for _, y := range w.hosts {
		w.hear(x, y, w.between(0, 1500*time.Millisecond))
		x.run(func(p *process) { p.suspect(y, y != x && !w.net.linked(x, y)) })
	}
}

func (w *world) tellOf(y *host, lo, hi time.Duration) {
	for _, x := range w.hosts {
		w.hear(x, y, w.between(lo, hi))
	}
}

// hear lets x learn how y is, some time later.
func (w *world) hear(x, y *host, in time.Duration) {
	if x == y {
		return
	}
	w.after(in, func() {
		s := y.standing()
		s.alive = y.process != nil && !y.paused
		x.believe(y, s)
	})
}

func (h *host) believe(y *host, s standing) {
	h.run(func(p *process) {
		if h.known[y.id] == s || !h.known[y.id].alive && !s.alive {
			return
		}
		h.known[y.id] = s
		p.adopt()
	})
}

func (w *world) pause(x *host, lasts time.Duration) {
	if x.process == nil || x.paused {
		return
	}
	p := x.process
	w.say("%s is stopped", x)
	x.paused = true
	w.noticeAll(x)
	w.tellOf(x, time.Second, 3*time.Second)
	w.after(lasts, func() { w.resume(p) })
}

func (w *world) resume(p *process) {
	x := p.host
	if x.process != p || !x.paused {
		return
	}
	w.say("%s goes on", x)
	x.paused = false
	held := x.held
	x.held = nil
	p.wakeUp()
	for _, do := range held {
		do()
	}
	w.noticeAll(x)
	w.tellOf(x, 0, 1500*time.Millisecond)
	w.hearAll(x)
}

func (w *world) cut(x, y *host, lasts time.Duration) {
	if x == y {
		return
	}
	w.net.setCut(x, y, true)
	w.after(lasts, func() {
		if w.net.cut[x.id][y.id] {
			w.net.setCut(x, y, false)
		}
	})
	if w.chance(0.4) {
		w.takeForDead(x, y, lasts)
	}
}

func (w *world) isolate(x *host, lasts time.Duration) {
	dead := w.chance(0.7)
	for _, y := range w.hosts {
		if y == x {
			continue
		}
		w.net.setCut(x, y, true)
		w.net.setCut(y, x, true)
		w.after(lasts, func() {
			w.net.setCut(x, y, false)
			w.net.setCut(y, x, false)
		})
		if dead {
			w.takeForDead(x, y, lasts)
			w.takeForDead(y, x, lasts)
		}
	}
}

// takeForDead lets x believe for a while that y is dead.
func (w *world) takeForDead(x, y *host, lasts time.Duration) {
	w.after(w.between(0, 2*time.Second), func() {
		if x != y && !w.calm {
			x.believe(y, standing{})
		}
	})
	w.hear(x, y, lasts+w.between(0, 3*time.Second))
}

// mistake lets some hosts believe for a while that a live one is dead.
func (w *world) mistake(y *host, lasts time.Duration) {
	all := w.chance(0.5)
	for _, x := range w.hosts {
		if x != y && (all || w.chance(0.6)) {
			w.takeForDead(x, y, lasts)
		}
	}
}

func (w *world) join() {
	if len(w.hosts) == maxHosts {
		return
	}
	x := w.newHost()
	x.start()
	w.tellOf(x, 0, 1500*time.Millisecond)
	w.hearAll(x)
}

// leave begins to take a host away for good: it goes when it has nothing more
// that others may lack.
func (w *world) leave(x *host) {
	staying := 0
	for _, h := range w.hosts {
		if !h.gone && !h.leaving {
			staying++
		}
	}
	if x.leaving || staying <= 3 || x.process == nil {
		return
	}
	w.say("%s is to leave", x)
	x.leaving = true
	x.run(func(p *process) {
		x.known[x.id] = x.standing()
		p.adopt()
	})
	w.tellOf(x, 0, 1500*time.Millisecond)
	w.lookForLeave(x)
}

func (w *world) lookForLeave(x *host) {
	w.after(500*time.Millisecond, func() {
		if p := x.process; p != nil && !x.paused && p.mayLeave() {
			w.say("%s has left", x)
			x.gone, x.process = true, nil
			x.disk = &disk{}
			w.checkKept("after %s has left", x)
			w.noticeAll(x)
			w.tellOf(x, 0, 1500*time.Millisecond)
			return
		}
		if !x.gone {
			w.lookForLeave(x)
		}
	})
}

func (p *process) mayLeave() bool {
	if !p.view[p.host.id].leaving || p.w.now < p.entered+time.Second {
		return false
	}
	for s := range p.scanned {
		if p.w.now < p.scanned[s] || len(p.holders[s]) == 0 {
			return false
		}
	}
	for _, a := range p.actors {
		if a != nil {
			return false
		}
	}
	s := p.machine.Status()
	return s.Surplus == 0 && s.Absorbs == 0 && s.Commits == 0
}

// settleDown ends all faults.
func (w *world) settleDown() {
	w.say("all faults end")
	w.calm = true
	for _, x := range w.hosts {
		x.disk.full = false
		if x.gone {
			continue
		}
		if x.process == nil {
			w.restart(x)
		} else if x.paused {
			w.resume(x.process)
		}
		w.net.cut = [maxHosts][maxHosts]bool{}
	}
	for _, x := range w.hosts {
		w.noticeAll(x)
		w.tellOf(x, 0, 1500*time.Millisecond)
	}
	for _, in := range []time.Duration{repair, repair + 35*time.Second} {
		w.after(in, func() {
			for _, o := range w.watch {
				w.observe(o, w.anyHost())
			}
		})
	}
}
