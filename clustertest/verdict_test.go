package clustertest

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"
)

// healTime is for how long the truth is waited for after it was due, only to
// say when it came.
const healTime = 75 * time.Second

func waitForHeal() time.Duration {
	if *runFull {
		return healTime
	}
	return 0
}

// correct stops the publishing and waits until everybody has the truth: in time,
// everything acknowledged in it, and nothing seen on the way that may not be.
func (p *scene) correct(most time.Duration) error {
	since := p.last
	if !p.heal.IsZero() {
		since = p.heal
	}
	p.quiet(true)
	defer p.quiet(false)
	began := time.Now()
	err := poll(most, p.equal)
	if err != nil {
		if late := poll(waitForHeal(), p.equal); late == nil {
			err = fmt.Errorf("%w\n\tit came after %s", err, time.Since(began).Round(time.Millisecond))
		}
		err = fmt.Errorf("%w\n\tusers by connection: %v", err, p.crowd.places())
	}
	err = errors.Join(err, p.kept(most), p.fed(most))
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	var took time.Duration
	if !since.IsZero() {
		took = correct(p.record.acks, p.record.sights, since)
		p.figures.correct = max(p.figures.correct, took)
	}
	if took > most && err == nil {
		err = fmt.Errorf("the last watcher was correct %s after the fault", took)
	}
	p.figures.moved = append(p.figures.moved, p.movedGaps()...)
	back, fork := backward(p.record.sights), forked(p.record.sights)
	read := backward(p.record.reads)
	p.figures.back, p.figures.readBack = len(back)+len(fork), len(read)
	p.figures.off = len(falseOffline(p.record.sights, p.mayVanish))
	if p.split {
		read = nil // by the one side after the other
	}
	for _, n := range p.record.moved {
		p.figures.reconnects = max(p.figures.reconnects, len(n))
	}
	p.fault, p.last, p.heal = time.Time{}, time.Time{}, time.Time{}
	p.touched, p.all = map[string]bool{}, false
	return errors.Join(err, few(back), few(fork), few(read))
}

// steady is for faults in which every device stays known to somebody. Where nodes
// took others for dead that were not, on a machine with too little to give, it
// only tells.
func (p *scene) steady() error {
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	off := falseOffline(p.record.sights, p.mayVanish)
	if n := p.falseDeaths(); n > 0 && len(off) > 0 {
		progress("%s: %d false deaths, by which %d pairs were shown as offline", p.script.name, n, len(off))
		return nil
	}
	return few(off)
}

var death = regexp.MustCompile(`"msg":"a member is gone","member":"([^"]*)","state":"dead"`)

// falseDeaths counts how often a node took another one for dead, neither of which
// had been ended or silenced.
func (p *scene) falseDeaths() (n int) {
	well := map[string]bool{}
	for _, m := range p.cluster.nodes {
		if _, dark := p.dark[m.name]; !dark && !p.down[m.name] {
			well[m.id] = true
		}
	}
	for _, m := range p.cluster.nodes {
		if !well[m.id] {
			continue
		}
		text, _ := os.ReadFile(m.log) // none: nothing was said
		for _, found := range death.FindAllSubmatch(text, -1) {
			if well[string(found[1])] {
				n++
			}
		}
	}
	return n
}

// movedGaps are the publishes of those whose gateway was touched.
func (p *scene) movedGaps() []time.Duration {
	if p.fault.IsZero() {
		return nil
	}
	return served(p.record.acks, p.fault, time.Now(), func(a ack) bool {
		return p.touched[a.gateway] && p.record.movedBetween(a.user, a.due, a.at)
	})
}

// quiet makes everybody stop publishing, or go on.
func (p *scene) quiet(on bool) {
	p.crowd.quiet(on)
	p.keepers.quiet(on)
}

// equal is nil when nothing is on its way, every node reads the same, every
// watcher has it, and nothing acknowledged is missing in it.
func (p *scene) equal() error {
	if waiting := p.crowd.publishing(); len(waiting) > 0 {
		return fmt.Errorf("publishes have no answer yet: %w", few(waiting))
	}
	truth, err := p.truth()
	if err != nil {
		return err
	}
	have := p.crowd.standings()
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	missing := lost(p.record.acks, truth, p.excused)
	p.figures.lost = len(missing)
	return errors.Join(few(missing), few(unequal(have, truth, p.policies)))
}

// excused are publishes that nobody can be blamed for: of users without a device
// since; of those without a connection when an earlier one may have come late;
// and those of which all copies may be away with nodes that were ended together.
func (p *scene) excused(a ack) bool {
	u := p.crowd.users[a.user]
	return p.gone[a.user] || u.post && (u.isUnsure() || p.unsafeAt(a.at))
}

// mayVanish is whether a watcher may rightly be shown a user as offline who is
// there: one of the two was cut off.
func (p *scene) mayVanish(watcher, user int) bool {
	return p.gone[user] || p.away[user] || p.away[watcher]
}

// ghosts waits until nobody is shown whose device went with its gateway.
func (p *scene) ghosts(most time.Duration) error {
	err := poll(time.Until(p.fault.Add(most)), func() error {
		truth, err := p.truth()
		if err != nil {
			return err
		}
		return few(ghosts(p.crowd.standings(), truth, p.gone))
	})
	p.figures.ghosts = time.Since(p.fault)
	return err
}

// undisturbed is whether the cluster is what it was.
func (p *scene) undisturbed(most time.Duration) error {
	if err := p.running(); err != nil {
		return err
	}
	return p.cluster.agreed(most)
}
