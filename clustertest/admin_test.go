package clustertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall/cluster/topology"
	"rollcall/presence"
)

// view is what a node says about the cluster: the parts of /admin/v1/cluster
// that are needed here.
type view struct {
	Self      string   `json:"self"`
	Epoch     uint64   `json:"epoch"`
	TableHash string   `json:"tableHash"`
	Members   []member `json:"members"`
	Shards    struct {
		Total, Served, Awaited, Taking, Held, Yielding int
		Settled                                        bool
	} `json:"shards"`
	Moves  struct{ UnderWay, Done, Users, Conflicts int }     `json:"moves"`
	Copies *struct{ Durability, Unsettled, Pulls, Extra int } `json:"copies"` // nil: the node knows of none
}

type member struct {
	ID, State, Zone, Addr, URL string
	Admitted                   bool // it has proved that it is one
	Incarnation                uint64
	Roles                      []string
	Leaving                    bool
	Protocol                   uint32
}

func (n *node) admin(path string) string { return "http://" + n.address(adminPort) + path }

// view asks the node, and learns the id by which the others know it.
func (n *node) view() (view, error) {
	var v view
	text, err := fetch(context.Background(), n.http, n.admin("/admin/v1/cluster"), nil)
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		return v, fmt.Errorf("%s: /admin/v1/cluster: %w", n.name, err)
	}
	return v, nil
}

// drain asks the node to hand over what it has, and to end then.
func (n *node) drain() error {
	_, err := fetch(context.Background(), n.http, n.admin("/admin/v1/drain"), &request{json: "{}"})
	if err != nil {
		return fmt.Errorf("%s: /admin/v1/drain: %w", n.name, err)
	}
	return nil
}

// live are the members that take part: a suspect one does until it is dead, one
// that has not proved itself does not.
func (v *view) live() []string {
	var ids []string
	for _, m := range v.Members {
		if m.Admitted && (m.State == "alive" || m.State == "suspect") {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// serving counts the shards that the node answers for.
func (v *view) serving() int { return v.Shards.Served + v.Shards.Held }

// table is who owns what, worked out from the members as the node does; an error
// if the node has come to another result.
func (v *view) table() (*topology.Table, error) {
	var list []topology.Member
	for _, m := range v.Members {
		if !slices.Contains(v.live(), m.ID) {
			continue
		}
		t := topology.Member{
			ID: m.ID, Incarnation: m.Incarnation, Addr: m.Addr, Zone: m.Zone, Leaving: m.Leaving, Protocol: m.Protocol, URL: m.URL,
		}
		if slices.Contains(m.Roles, "gateway") {
			t.Roles |= topology.Gateway
		}
		if slices.Contains(m.Roles, "presence") {
			t.Roles |= topology.Presence
		}
		list = append(list, t)
	}
	t := topology.NewTable(v.Epoch, list)
	if got := fmt.Sprintf("%016x", t.Hash()); got != v.TableHash {
		return nil, fmt.Errorf("the members make table %s, the node has %s", got, v.TableHash)
	}
	return t, nil
}

// owners tells for each user the name of the node that owns it.
func (c *cluster) owners(users []*user) (map[int]string, error) {
	ids := map[string]string{}
	var t *topology.Table
	for _, n := range c.nodes {
		if !n.reachable() {
			continue
		}
		v, err := n.view()
		if err != nil {
			return nil, err
		}
		ids[v.Self] = n.name
		if t == nil {
			if t, err = v.table(); err != nil {
				return nil, err
			}
		}
	}
	if t == nil {
		return nil, errors.New("no node can be asked")
	}
	out := map[int]string{}
	for _, u := range users {
		if m, ok := t.Owner((presence.UserID{Tenant: tenant, MRI: userMRI(u.number)}).Shard()); ok {
			out[u.number] = ids[m.ID]
		}
	}
	return out, nil
}

// metric sums up a counter over the nodes that can be reached.
func (c *cluster) metric(name string) (sum float64) {
	for _, n := range c.nodes {
		if !n.reachable() {
			continue
		}
		text, err := fetch(context.Background(), n.http, n.admin("/metrics"), nil)
		if err != nil {
			continue // it is a figure for the table, not a check
		}
		for line := range strings.Lines(string(text)) {
			var value float64
			if _, err := fmt.Sscanf(line, name+" %g", &value); err == nil {
				sum += value
			}
		}
	}
	return sum
}

// sampler looks all the time whether shards are served by two nodes.
type sampler struct {
	stop context.CancelFunc
	wg   sync.WaitGroup
	sum  time.Duration // with more shards served than there are
}

const sampleEvery = 200 * time.Millisecond

func newSampler(nodes func() []*node) *sampler {
	s := &sampler{}
	s.stop = pulse(&s.wg, sampleEvery, func(since time.Duration) {
		if overserved(nodes()) {
			s.sum += since
		}
	})
	return s
}

// overserved is whether the nodes together answer for more shards than there
// are. Their reports are of slightly different moments, so it is asked twice, the
// other way round the second time: what moves in between is counted twice in one
// of them and not at all in the other.
func overserved(nodes []*node) bool {
	for range 2 {
		served := 0
		slices.Reverse(nodes)
		for _, n := range nodes {
			if v, err := n.view(); err == nil { // one that does not answer serves nobody
				served += v.serving()
			}
		}
		if served <= presence.Shards {
			return false
		}
	}
	return true
}

// close tells for how long it was so.
func (s *sampler) close() time.Duration {
	s.stop()
	s.wg.Wait()
	return s.sum
}
