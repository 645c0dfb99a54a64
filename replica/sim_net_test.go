package replica

import "time"

// network carries messages between hosts, badly.
type network struct {
	w                  *world
	loss, double, slow float64
	lag                time.Duration            // at most, of most messages
	cut                [maxHosts][maxHosts]bool // from, to
}

func (n *network) init(w *world) {
	n.w = w
	n.lag = []time.Duration{3 * time.Millisecond, 30 * time.Millisecond, 200 * time.Millisecond}[w.r.IntN(3)]
	if w.chance(0.6) {
		n.loss = w.r.Float64() * 0.1
		n.double = w.r.Float64() * 0.1
		n.slow = w.r.Float64() * 0.05
	}
}

// carry brings something from one host to whatever process runs on the other
// when it arrives.
func (n *network) carry(from, to *host, what func(p *process)) {
	w := n.w
	if from != to && (n.cut[from.id][to.id] || !w.calm && w.chance(n.loss)) {
		return
	}
	times := 1
	if !w.calm && w.chance(n.double) {
		times = 2
	}
	for range times {
		delay := w.between(200*time.Microsecond, n.lag)
		if !w.calm && w.chance(n.slow) {
			delay = w.between(0, 3*time.Second)
		}
		w.after(delay, func() { to.run(what) })
	}
}

// linked says whether two hosts can talk.
func (n *network) linked(x, y *host) bool {
	return !n.cut[x.id][y.id] && !n.cut[y.id][x.id] && y.process != nil && !y.paused
}

// setCut cuts a direction, or heals it. Both ends notice a while later.
func (n *network) setCut(x, y *host, cut bool) {
	n.cut[x.id][y.id] = cut
	n.w.say("%s to %s: cut is %v", x, y, cut)
	n.w.notice(x, y)
}

// notice lets both ends look at their link soon.
func (w *world) notice(x, y *host) {
	for _, pair := range [][2]*host{{x, y}, {y, x}} {
		a, b := pair[0], pair[1]
		w.after(w.between(50*time.Millisecond, 500*time.Millisecond), func() {
			a.run(func(p *process) { p.suspect(b, !w.net.linked(a, b)) })
		})
	}
}

func (w *world) noticeAll(x *host) {
	for _, y := range w.hosts {
		if y != x {
			w.notice(x, y)
		}
	}
}
