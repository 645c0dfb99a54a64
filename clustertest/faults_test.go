package clustertest

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// begin notes a fault, just before it.
func (p *scene) begin(nodes ...*node) {
	if p.crowd != nil {
		p.crowd.learnOwners()
		p.crowd.kick()
	}
	now := time.Now()
	if p.fault.IsZero() {
		p.fault = now
	}
	p.last, p.heal = now, time.Time{}
	p.record.fault()
	for _, n := range nodes {
		p.touched[n.name] = true
	}
}

// undone notes that a fault is over.
func (p *scene) undone(n *node) {
	p.heal = time.Now()
	delete(p.hit, n.name)
	p.crowd.kick()
}

// silent notes a node whose clients have to wait: the others may take their
// devices for gone.
func (p *scene) silent(n *node) {
	p.hit[n.name], p.dark[n.name] = true, time.Now()
	for _, u := range p.crowd.users {
		if u.at() == n.name {
			p.away[u.number] = true
		}
	}
}

func (p *scene) kill(nodes []*node, vanish bool) error {
	p.begin(nodes...)
	var errs []error
	for _, n := range nodes {
		errs = append(errs, n.signal(killSignal))
	}
	for _, n := range nodes {
		errs = append(errs, p.ended(n))
	}
	for _, u := range p.crowd.users {
		if vanish && !u.post && p.hit[u.at()] {
			p.gone[u.number] = true
			u.vanish()
		}
	}
	if vanish && len(p.gone) == 0 {
		errs = append(errs, errors.New("nobody was connected there"))
	}
	return errors.Join(errs...)
}

// ended waits for a node that was killed.
func (p *scene) ended(n *node) error {
	p.hit[n.name], p.down[n.name], p.dark[n.name] = true, true, time.Now()
	select {
	case <-n.end:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s does not end", n.name)
	}
}

func (p *scene) pause(n *node, on bool) error {
	if on {
		p.begin(n)
		p.silent(n)
		p.split = true
		n.silence(true, false)
		return n.signal(syscall.SIGSTOP)
	}
	n.silence(false, false)
	err := n.signal(syscall.SIGCONT)
	p.undone(n)
	return err
}

func (p *scene) link(n *node, up bool) error {
	if !up {
		p.begin(n)
		p.silent(n)
		p.split = true
		n.silence(false, true)
		return p.cluster.net.link(n.host, false)
	}
	n.silence(false, false)
	err := p.cluster.net.link(n.host, true)
	p.undone(n)
	return err
}

// cut notes a fault between nodes that has just been made.
func (p *scene) cut(n *node, err error) error {
	p.begin(n)
	p.split = true
	return err
}

func (p *scene) mend(n *node) error {
	err := p.cluster.net.mend(n.host)
	p.undone(n)
	return err
}

// stop tells a node to end: what it has must be with others before it does.
func (p *scene) stop(n *node, tell func() error) error {
	p.begin(n)
	p.down[n.name] = true
	began := time.Now()
	if err := tell(); err != nil {
		return err
	}
	err := n.wait(drainTime + 10*time.Second)
	p.figures.drain = max(p.figures.drain, time.Since(began))
	if err == nil && !n.said(`"msg":"drain is over","done":true`) {
		err = fmt.Errorf("%s has ended before it had handed over everything", n.name)
	}
	return err
}

// start starts nodes one after the other, with a pause between, and waits until
// all agree.
func (p *scene) start(nodes []*node, apart time.Duration, more ...string) error {
	if p.crowd != nil {
		p.begin(nodes...)
		p.all = true
	}
	p.feed.renewed()
	p.split = p.split || len(p.down) > 1 // what only a late one has may have been read before
	for i, n := range nodes {
		if i > 0 {
			pause(p.t.Context(), apart)
		}
		if err := n.start(p.cluster.program, more...); err != nil {
			return err
		}
		if err := poll(patience, n.lives); err != nil {
			return err
		}
	}
	began := time.Now()
	err := p.cluster.agreed(patience)
	p.figures.join = max(p.figures.join, time.Since(began))
	for _, n := range nodes {
		delete(p.hit, n.name)
		delete(p.down, n.name)
	}
	if p.crowd != nil {
		p.crowd.kick()
	}
	return err
}

// part makes a node and all others lose what they send each other; clients
// reach all of them.
func (p *scene) part(n *node) error {
	p.begin(n)
	p.split = true
	for _, u := range p.crowd.users {
		p.away[u.number] = true // the others take its gateway for dead, or it theirs
	}
	var errs []error
	for _, m := range p.cluster.nodes {
		if m != n {
			errs = append(errs, p.cluster.net.cut(n.host, m.host), p.cluster.net.cut(m.host, n.host))
		}
	}
	return errors.Join(errs...)
}

// mendAll undoes part.
func (p *scene) mendAll() error {
	var errs []error
	for _, n := range p.cluster.nodes {
		errs = append(errs, p.mend(n))
	}
	return errors.Join(errs...)
}

// breakDisk ends a node by its disk.
func (p *scene) breakDisk(n *node, most time.Duration) error {
	p.begin(n)
	p.down[n.name] = true // before it ends by itself
	took, err := n.breakDisk(most)
	p.hit[n.name], p.dark[n.name] = true, time.Now()
	p.figures.broken = took
	return err
}

// fill makes a disk nearly full, or gives the room back, and waits until the node
// has noticed.
func (p *scene) fill(n *node, leave int) error {
	p.begin(n)
	if err := n.fill(leave); err != nil {
		return err
	}
	return poll(lowTime, n.saying("disk space is low"))
}

func (p *scene) free(n *node) error {
	if err := n.free(); err != nil {
		return err
	}
	err := poll(lowTime, n.saying("disk space is back"))
	p.undone(n)
	return err
}

// lowTime is for a node to notice how full its disk is.
const lowTime = 5 * time.Second

func (n *node) saying(words string) func() error {
	return func() error {
		if !n.said(words) {
			return fmt.Errorf("%s does not say that %s", n.name, words)
		}
		return nil
	}
}
