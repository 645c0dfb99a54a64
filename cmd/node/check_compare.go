package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"rollcall/gateway"
)

// Comparison is what the digests of several nodes say. A shard differs, or is
// not known, if it was so in every round.
type Comparison struct {
	Rounds   int               `json:"rounds"`
	Nodes    int               `json:"nodes"`
	Compared int               `json:"compared"` // shards of which at least two holders were asked
	Alone    int               `json:"alone"`    // shards of which one was
	Partly   int               `json:"partly"`   // of compared: not every holder was asked
	Differ   []ShardDifference `json:"differ,omitempty"`
	Unknown  []int             `json:"unknown,omitempty"` // shards with a holder that has not read its own yet
	Leftover int               `json:"leftover"`          // copies at nodes that need not hold them any more
	Settled  bool              `json:"settled"`           // no node hands over or takes shards
	Tables   map[string]string `json:"tables,omitempty"`  // by node, where they are not the same
}

// ShardDifference is a shard that its holders have different copies of.
type ShardDifference struct {
	Shard int               `json:"shard"`
	Roots map[string]string `json:"roots"` // by node
}

func (c *Comparison) wrong() bool { return len(c.Differ)+len(c.Unknown)+len(c.Tables) > 0 }

// Rounds of a comparison: what is being written differs for a moment.
const (
	compareRounds = 10
	compareEvery  = time.Second
)

// compare asks again while something differs.
func (c *Check) compare(ctx context.Context, sources []source, m *meter) (*Comparison, error) {
	var sum *Comparison
	tick := time.NewTicker(cmp.Or(c.every, compareEvery))
	defer tick.Stop()
	for round := 1; ; round++ {
		reports, err := digests(ctx, sources)
		if err != nil {
			return nil, err
		}
		sum = compareDigests(reports).since(sum)
		sum.Rounds = round
		if !sum.wrong() || round == compareRounds {
			return sum, nil
		}
		m.show("round %d: %d shards differ, %d are not known yet", round, len(sum.Differ), len(sum.Unknown))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// digests asks all nodes, at nearly the same moment.
func digests(ctx context.Context, sources []source) ([]gateway.DigestReport, error) {
	reports := make([]gateway.DigestReport, len(sources))
	failed := make(chan error, len(sources))
	for i := range sources {
		go func() { // all are waited for below
			s := &sources[i]
			body, err := s.ask(ctx, "GET", "/admin/v1/digests")
			if err == nil {
				if err = json.Unmarshal(body, &reports[i]); err != nil || reports[i].Self == "" {
					err = errors.Join(fmt.Errorf("%s did not answer with digests: is it a node of this version?", s.Operator.Admin), err)
				}
			}
			failed <- err
		}()
	}
	var err error
	for range sources {
		err = errors.Join(err, <-failed)
	}
	return reports, err
}

// compareDigests holds what nodes say against each other.
func compareDigests(reports []gateway.DigestReport) *Comparison {
	c := &Comparison{Nodes: len(reports), Settled: true}
	tables := map[string]string{}
	same := true
	shards := map[int][]holding{}
	for i := range reports {
		r := &reports[i]
		tables[r.Self] = r.TableHash
		same = same && r.TableHash == reports[0].TableHash
		c.Settled = c.Settled && r.Settled
		for _, d := range r.Shards {
			switch {
			case d.Holder:
				shards[d.Shard] = append(shards[d.Shard], holding{r.Self, d.Root, d.Of})
			case d.Root != "":
				c.Leftover++
			}
		}
	}
	if !same { // they do not agree on who holds what
		c.Tables = tables
		return c
	}
	for shard, holders := range shards {
		c.shard(shard, holders)
	}
	slices.SortFunc(c.Differ, func(a, b ShardDifference) int { return cmp.Compare(a.Shard, b.Shard) })
	slices.Sort(c.Unknown)
	return c
}

// holding is what one holder says of a shard.
type holding struct {
	node, root string
	of         int
}

func (c *Comparison) shard(shard int, holders []holding) {
	if len(holders) < 2 {
		c.Alone++
		return
	}
	c.Compared++
	if len(holders) < holders[0].of {
		c.Partly++
	}
	known, differs := true, false
	for _, h := range holders {
		known = known && h.root != ""
		differs = differs || h.root != holders[0].root
	}
	switch {
	case !known:
		c.Unknown = append(c.Unknown, shard)
	case differs:
		d := ShardDifference{Shard: shard, Roots: map[string]string{}}
		for _, h := range holders {
			d.Roots[h.node] = h.root
		}
		c.Differ = append(c.Differ, d)
	}
}

// since keeps of what is wrong only what was wrong before as well.
func (c *Comparison) since(before *Comparison) *Comparison {
	if before == nil || len(before.Tables) > 0 {
		return c
	}
	was := map[int]bool{}
	for _, d := range before.Differ {
		was[d.Shard] = true
	}
	for _, s := range before.Unknown {
		was[s] = true
	}
	c.Differ = slices.DeleteFunc(c.Differ, func(d ShardDifference) bool { return !was[d.Shard] })
	c.Unknown = slices.DeleteFunc(c.Unknown, func(s int) bool { return !was[s] })
	return c
}
