package clustertest

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// do plays one step.
func (p *scene) do(st step) error {
	if prepare, ok := before[st.verb]; ok {
		return prepare(p, st)
	}
	var nodes []*node
	for _, name := range st.names {
		n, err := p.cluster.node(name)
		if err != nil && st.verb == "start" {
			n, err = p.cluster.add(name)
		}
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
	}
	for _, plays := range []map[string]func(*scene, step, []*node) error{faultSteps, diskSteps, lookSteps} {
		if play, ok := plays[st.verb]; ok {
			return play(p, st, nodes)
		}
	}
	return fmt.Errorf("the step %s is not played", st.verb)
}

// before are the steps that name nodes which need not be there.
var before = map[string]func(*scene, step) error{
	"nodes": func(p *scene, st step) error { return p.cluster.form(st.count) },
	"disk":  func(p *scene, st step) error { return p.cluster.mount(st.names[0], st.count) },
	"roles": func(p *scene, st step) error {
		p.cluster.roles[st.names[0]] = st.word
		return nil
	},
}

var faultSteps = map[string]func(*scene, step, []*node) error{
	"kill":    func(p *scene, _ step, n []*node) error { return p.kill(n, false) },
	"vanish":  func(p *scene, _ step, n []*node) error { return p.kill(n, true) },
	"killall": func(p *scene, _ step, _ []*node) error { return p.kill(p.cluster.nodes, false) },
	"pause":   func(p *scene, _ step, n []*node) error { return p.pause(n[0], true) },
	"resume":  func(p *scene, _ step, n []*node) error { return p.pause(n[0], false) },
	"stop": func(p *scene, _ step, n []*node) error {
		return p.stop(n[0], func() error { return n[0].signal(syscall.SIGTERM) })
	},
	"drain": func(p *scene, _ step, n []*node) error { return p.stop(n[0], n[0].drain) },
	"start": func(p *scene, st step, n []*node) error { return p.start(n, st.time) },
	"reset": func(p *scene, _ step, n []*node) error { return p.start(n, 0, "--reset-data") },
	"link":  func(p *scene, st step, n []*node) error { return p.link(n[0], st.word == "up") },
	"cut": func(p *scene, _ step, n []*node) error {
		return p.cut(n[0], p.cluster.net.cut(n[0].host, n[1].host))
	},
	"loss": func(p *scene, st step, n []*node) error {
		return p.cut(n[0], p.cluster.net.lose(n[0].host, st.count))
	},
	"mend":    func(p *scene, _ step, n []*node) error { return p.mend(n[0]) },
	"part":    func(p *scene, _ step, n []*node) error { return p.part(n[0]) },
	"heal":    func(p *scene, _ step, _ []*node) error { return p.mendAll() },
	"users":   func(p *scene, st step, _ []*node) error { return p.users(st.count) },
	"traffic": func(p *scene, st step, _ []*node) error { return p.traffic(st.time) },
	"hush":    func(p *scene, _ step, _ []*node) error { return p.hush() },
	"outside": func(p *scene, st step, _ []*node) error { return p.comeOutside(st.count) },
	"policy": func(p *scene, st step, n []*node) error {
		return p.shutOut(n[0], st.word != "open", st.word == "testament")
	},
}

var diskSteps = map[string]func(*scene, step, []*node) error{
	"wipe":    func(_ *scene, _ step, n []*node) error { return n[0].wipe() },
	"corrupt": func(_ *scene, st step, n []*node) error { return n[0].corrupt(st.word) },
	"refuses": func(p *scene, _ step, n []*node) error { return n[0].refuses(p.cluster.program) },
	"fill":    func(p *scene, st step, n []*node) error { return p.fill(n[0], st.count) },
	"free":    func(p *scene, _ step, n []*node) error { return p.free(n[0]) },
	"broken":  func(p *scene, st step, n []*node) error { return p.breakDisk(n[0], st.time) },
}

// lookSteps only look: after a failure of one the rest can still be played.
var lookSteps = map[string]func(*scene, step, []*node) error{
	"unlisted":    func(p *scene, st step, n []*node) error { return p.unlisted(n, st.time) },
	"listed":      func(p *scene, st step, _ []*node) error { return p.cluster.agreed(st.time) },
	"ghosts":      func(p *scene, st step, _ []*node) error { return p.ghosts(st.time) },
	"correct":     func(p *scene, st step, _ []*node) error { return p.correct(st.time) },
	"kept":        func(p *scene, st step, _ []*node) error { return p.keptNow(st.time) },
	"settled":     func(p *scene, st step, _ []*node) error { return p.settled(st.time) },
	"durability":  func(p *scene, st step, _ []*node) error { return p.durability(st.count, st.time) },
	"steady":      func(p *scene, _ step, _ []*node) error { return p.steady() },
	"serve":       func(p *scene, st step, _ []*node) error { return p.serve(st.time) },
	"others":      func(p *scene, st step, _ []*node) error { return p.others(st.time) },
	"obeyed":      func(p *scene, st step, _ []*node) error { return p.obeyed(st.time) },
	"intruder":    func(p *scene, st step, _ []*node) error { return p.intruder(st.word) },
	"garbage":     func(p *scene, _ step, n []*node) error { return p.garbage(n[0]) },
	"undisturbed": func(p *scene, st step, _ []*node) error { return p.undisturbed(st.time) },
}

// users bring so many on line, with them the keepers and the feed's reader.
func (p *scene) users(count int) error {
	p.watch = newSampler(p.cluster.reachable)
	p.feed = newFeedReader(p.cluster)
	p.keepers = newKeepers(p.cluster, p.record)
	p.crowd = newCrowd(p.cluster, p.record, count)
	if err := p.crowd.connect(); err != nil {
		return err
	}
	p.crowd.learnOwners()
	return poll(patience, p.crowd.informed)
}

// hush makes the keepers stop, until the next look at what is kept, and waits
// for their answers.
func (p *scene) hush() error {
	p.keepers.quiet(true)
	return poll(keeperWrites+time.Second, p.keepers.silent)
}

// keptNow is kept, without all the rest of correct.
func (p *scene) keptNow(most time.Duration) error {
	err := errors.Join(p.hush(), p.kept(most))
	p.keepers.quiet(false)
	return err
}
