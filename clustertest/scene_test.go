package clustertest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/presence"
)

// scene is a scenario while it is played.
type scene struct {
	t       *testing.T
	script  *script
	cluster *cluster
	crowd   *crowd
	record  *record
	keepers *keepers
	feed    *feedReader
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
	split   bool                 // nodes that live were apart from one another

	outsiders []*outsider
	closed    bool      // they may see nobody
	decided   time.Time // when that was said last
	policies  map[presence.Version]bool
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
		dark: map[string]time.Time{}, policies: map[presence.Version]bool{},
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
			if _, looks := lookSteps[st.verb]; !looks {
				return
			}
		}
	}
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
		p.leave()
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

// leave ends all users, of every kind.
func (p *scene) leave() {
	p.feed.close()
	p.keepers.close()
	p.crowd.close()
	for _, o := range p.outsiders {
		_ = o.client.Close() // it has no error to give
	}
	p.figures.kept = p.keepers.ledger.count()
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

// truth reads every user from every node that can be asked; they must agree.
func (p *scene) truth() (map[int]item, error) {
	var first map[int]item
	var of string
	users := make([]int, len(p.crowd.users))
	for i := range users {
		users[i] = i
	}
	for _, n := range p.cluster.answering() {
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
