package clustertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

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

// others are the publishes of those who have nothing to do with a touched node
// but that it may hold a copy.
func (p *scene) others(most time.Duration) error {
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	took := served(p.record.acks, p.fault, time.Now(), func(a ack) bool {
		return a.owner != "" && !p.touched[a.owner] && !p.touched[a.gateway] && !p.record.movedBetween(a.user, a.due, a.at)
	})
	if len(took) == 0 {
		return errors.New("nobody whose owner was not touched published after the fault")
	}
	p.figures.others = append(p.figures.others, took...)
	if q := percent(took, 99); q > most {
		return fmt.Errorf("of %d publishes to users of other nodes than %v, 99 %% took up to %s, the longest %s",
			len(took), sorted(p.touched), q, took[len(took)-1])
	}
	return nil
}

// settled waits until no node knows of anything that it should have and has not
// yet, or must still give.
func (p *scene) settled(most time.Duration) error {
	began := time.Now()
	err := poll(most, func() error { return p.cluster.unsettled() })
	p.figures.settle = max(p.figures.settle, time.Since(began))
	return err
}

func (c *cluster) unsettled() error {
	for _, n := range c.reachable() {
		v, err := n.view()
		if err != nil {
			return err
		}
		switch c := v.Copies; {
		case c == nil:
			return fmt.Errorf("%s says nothing of copies", n.name)
		case !v.Shards.Settled || c.Unsettled > 0 || c.Pulls > 0 || c.Extra > 0:
			return fmt.Errorf("%s is not settled: copies %+v, shards %+v", n.name, *c, v.Shards)
		case c.Durability < 1 && n.role != gatewayRole:
			return fmt.Errorf("%s says that nobody holds a copy: %+v", n.name, *c)
		}
	}
	return nil
}

// durability waits until nodes report that so many are to hold what is written,
// and answers say that it is stored by more than one of them, if there are.
func (p *scene) durability(want int, most time.Duration) error {
	turn := 0
	return poll(most, func() error {
		for _, n := range p.cluster.answering() {
			turn++
			v, err := n.view()
			if err != nil {
				return err
			}
			if v.Copies == nil || v.Copies.Durability != want {
				return fmt.Errorf("%s reports copies %+v, want a durability of %d", n.name, v.Copies, want)
			}
			got, err := p.stored(n, turn)
			if err != nil {
				return fmt.Errorf("publish through %s: %w", n.name, err)
			}
			if got < min(want, 2) || got > want {
				return fmt.Errorf("%s answers a publish with a durability of %d, and %d are to hold it", n.name, got, want)
			}
		}
		return nil
	})
}

// stored publishes something new through a node and gives how many nodes it says
// have stored it.
func (p *scene) stored(n *node, turn int) (int, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), keeperWrites)
	defer cancel()
	ask := &request{
		json:  fmt.Sprintf(`{"source":"note","note":"%d %s"}`, turn, n.name),
		token: p.cluster.issuer.userToken(keepTenant, reader+1+turn),
	}
	text, err := fetch(ctx, p.keepers.http, "http://"+n.address(clientPort)+"/v1/publish", ask)
	if err != nil {
		return 0, err
	}
	var answer struct{ Durability int }
	err = json.Unmarshal(text, &answer)
	return answer.Durability, err
}
