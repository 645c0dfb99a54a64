package clustertest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// scene is a scenario while it is played.
type scene struct {
	t       *testing.T
	script  *script
	cluster *cluster
	crowd   *crowd
	record  *record
	watch   *sampler
	stall   *stall
	figures figures

	failures []string

	fault   time.Time            // the first since the last correct
	last    time.Time            // the latest
	heal    time.Time            // when it was undone, zero: it was not
	touched map[string]bool      // nodes that faults were done to, since the last correct
	all     bool                 // and all others too: a node was added
	hit     map[string]bool      // nodes that cannot answer their clients
	down    map[string]bool      // nodes that were ended
	away    map[int]bool         // users whose devices the nodes may take for gone, or who may take others for gone
	gone    map[int]bool         // users whose devices are gone
	dark    map[string]time.Time // when nodes became unable to answer, the last time
}

// play runs a scenario and gives what it measured and what was wrong.
func play(t *testing.T, s *script, net *network) (figures, []string) {
	c, err := newCluster(net, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := &scene{
		t: t, script: s, cluster: c, record: newRecord(),
		touched: map[string]bool{}, hit: map[string]bool{}, down: map[string]bool{}, away: map[int]bool{}, gone: map[int]bool{},
		dark: map[string]time.Time{},
	}
	p.figures.scenario = s.name
	p.stall = newStall()
	p.steps()
	p.end()
	return p.figures, p.failures
}

// steps does one after the other. After a failure of one that only looks the
// rest can still be played.
func (p *scene) steps() {
	s := p.script
	for _, st := range s.steps {
		progress("%s: %s", s.name, st)
		if err := p.do(st); err != nil {
			progress("%s: %s: FAILED", s.name, st)
			p.failed("%s:%d: %s: %v", s.name, st.line, st, err)
			if !judges[st.verb] {
				return
			}
		}
	}
}

// judges are the steps that only look.
var judges = map[string]bool{
	"unlisted": true, "listed": true, "ghosts": true, "correct": true, "serve": true, "steady": true, "intruder": true,
	"garbage": true,
}

func (p *scene) failed(form string, args ...any) {
	p.failures = append(p.failures, fmt.Sprintf(form, args...))
}

// end takes everything down, and shows what helps to understand a failure.
func (p *scene) end() {
	if p.watch != nil {
		p.figures.twice = p.watch.close()
		p.figures.conflicts = int(p.cluster.metric("rollcall_actor_conflicts_total"))
	}
	if p.crowd != nil {
		p.crowd.close()
	}
	for _, f := range p.cluster.faults() {
		p.failed("%s", f)
	}
	p.figures.publishes, p.figures.refusals = len(p.record.acks), p.record.refusals
	p.figures.stall, p.figures.falseDeaths = p.stall.close(), p.falseDeaths()
	p.figures.failed = len(p.failures) > 0
	progress("%s: %s", p.script.name, p.figures.line())
	for _, n := range p.cluster.nodes {
		if p.figures.failed {
			p.t.Logf("end of the log of %s:\n%s", n.name, n.tail(3000))
		}
	}
	if err := errors.Join(p.cluster.keepLogs(p.script.name), p.cluster.close()); err != nil {
		p.failed("%v", err)
	}
}

func (p *scene) do(st step) error {
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
	switch st.verb {
	case "nodes":
		return p.cluster.form(st.count)
	case "users":
		return p.users(st.count)
	case "traffic":
		return p.traffic(st.time)
	case "kill", "vanish":
		return p.kill(nodes, st.verb == "vanish")
	case "pause", "resume":
		return p.pause(nodes[0], st.verb == "pause")
	case "stop":
		return p.stop(nodes[0], func() error { return nodes[0].signal(syscall.SIGTERM) })
	case "drain":
		return p.stop(nodes[0], nodes[0].drain)
	case "start":
		return p.start(nodes[0])
	case "link":
		return p.link(nodes[0], st.word == "up")
	case "cut":
		return p.cut(nodes[0], p.cluster.net.cut(nodes[0].host, nodes[1].host))
	case "loss":
		return p.cut(nodes[0], p.cluster.net.lose(nodes[0].host, st.count))
	case "mend":
		return p.mend(nodes[0])
	case "unlisted":
		return p.unlisted(nodes, st.time)
	case "listed":
		return p.cluster.agreed(st.time)
	case "ghosts":
		return p.ghosts(st.time)
	case "correct":
		return p.correct(st.time)
	case "steady":
		return p.steady()
	case "serve":
		return p.serve(st.time)
	case "intruder":
		return p.intruder(st.word)
	case "garbage":
		return p.garbage(nodes[0])
	case "undisturbed":
		return p.undisturbed(st.time)
	}
	return fmt.Errorf("the step %s is not played", st.verb)
}

func (p *scene) users(count int) error {
	p.watch = newSampler(p.cluster.reachable)
	p.crowd = newCrowd(p.cluster, p.record, count)
	if err := p.crowd.connect(); err != nil {
		return err
	}
	p.crowd.learnOwners()
	return poll(patience, p.crowd.informed)
}

// traffic lets the users go on, unless a node ends that should not.
func (p *scene) traffic(d time.Duration) error {
	select {
	case <-time.After(d):
	case <-p.t.Context().Done():
		return p.t.Context().Err()
	}
	return p.running()
}

func (p *scene) running() error {
	for _, n := range p.cluster.nodes {
		if !n.alive() && !p.down[n.name] {
			return fmt.Errorf("%s has ended: %w", n.name, n.err)
		}
	}
	return nil
}

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
		p.hit[n.name], p.down[n.name], p.dark[n.name] = true, true, time.Now()
		errs = append(errs, n.kill())
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

func (p *scene) pause(n *node, on bool) error {
	if on {
		p.begin(n)
		p.silent(n)
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

func (p *scene) start(n *node) error {
	if p.crowd != nil {
		p.begin(n)
		p.all = true
	}
	began := time.Now()
	if err := n.start(p.cluster.program); err != nil {
		return err
	}
	err := p.cluster.agreed(patience)
	p.figures.join = max(p.figures.join, time.Since(began))
	delete(p.hit, n.name)
	delete(p.down, n.name)
	return err
}

func (p *scene) unlisted(nodes []*node, most time.Duration) error {
	err := p.cluster.unlisted(nodes, time.Until(p.fault.Add(most)))
	p.figures.detect = max(p.figures.detect, time.Since(p.fault))
	return err
}

func (p *scene) serve(most time.Duration) error {
	took := p.gaps()
	if len(took) == 0 {
		return errors.New("nobody whose owner was touched published after the fault")
	}
	p.figures.serve = append(p.figures.serve, took...)
	if q := percent(took, 99); q > most {
		return fmt.Errorf("of %d publishes to users of %v, 99 %% took up to %s, the longest %s",
			len(took), sorted(p.touched), q, took[len(took)-1])
	}
	return nil
}

// gaps are the publishes to touched owners that came after the fault by a
// gateway that could answer.
func (p *scene) gaps() []time.Duration {
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	owners := !p.all && slices.ContainsFunc(p.record.acks, func(a ack) bool { return a.owner != "" })
	return served(p.record.acks, p.fault, time.Now(), func(a ack) bool {
		return (!owners || p.touched[a.owner]) && !p.hit[a.gateway] && !p.record.movedBetween(a.user, a.due, a.at)
	})
}

// truth reads every user from every node that can be reached; they must agree.
func (p *scene) truth() (map[int]item, error) {
	var first map[int]item
	var of string
	users := make([]int, len(p.crowd.users))
	for i := range users {
		users[i] = i
	}
	for _, n := range p.cluster.nodes {
		if !n.reachable() {
			continue
		}
		items, err := p.cluster.read(p.t.Context(), "http://"+n.address(clientPort), reader, users)
		if err != nil {
			return nil, err
		}
		if first == nil {
			first, of = items, n.name
			continue
		}
		for _, u := range sorted(items) {
			if items[u] != first[u] {
				return nil, fmt.Errorf("user %d is %s on %s and %s on %s", u, first[u], of, items[u], n.name)
			}
		}
	}
	return first, nil
}

// few joins the first findings and counts the others.
func few(findings []string) error {
	const show = 8
	if len(findings) == 0 {
		return nil
	}
	text := strings.Join(findings[:min(show, len(findings))], "\n\t")
	if more := len(findings) - show; more > 0 {
		text += fmt.Sprintf("\n\tand %d more", more)
	}
	return fmt.Errorf("%d findings:\n\t%s", len(findings), text)
}
