package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"rollcall/cluster/complaints"
)

const (
	sought     = 16              // addresses that one search tries, seeds and missing members each
	searchers  = 4               // at a time
	heartbeat  = time.Second     // how often seek looks at the clock
	stoppedFor = 2 * time.Second // a heartbeat that much late means that the process, or the machine, stood still
)

// seek joins the seeds until one is reached, and again while members are out of
// sight. After a standstill it asks even if all seem well: the others may have
// taken this node for dead meanwhile.
func (g *Gossip) seek() {
	failures := 0
	last := g.config.Now()
	next := last
	for {
		now := g.config.Now()
		stood := now.Sub(last) > heartbeat+stoppedFor
		last = now
		if (stood || !now.Before(next)) && !g.leaving.Load() {
			if stood || !g.joined.Load() || g.incomplete() {
				failures = g.search(stood, failures)
			}
			last = g.config.Now()
			next = last.Add(g.delay(failures))
		}
		if !g.pause(min(heartbeat, max(next.Sub(last), time.Millisecond))) {
			return
		}
	}
}

// delay is the time to the next search.
func (g *Gossip) delay(failures int) time.Duration {
	d := g.tuning.rejoin
	if !g.joined.Load() {
		d = min(g.tuning.firstJoin<<min(failures, 10), g.tuning.lastJoin)
		return d/2 + time.Duration(g.dice.Int64N(int64(d)))
	}
	return d - d/10 + time.Duration(g.dice.Int64N(int64(d/5)))
}

// incomplete says whether members are out of sight.
func (g *Gossip) incomplete() bool {
	return len(g.roster.missing()) > 0 || g.count(Alive)+g.count(Suspect) < g.config.Expect ||
		len(g.seeds) > 0 && g.alone()
}

// search tries to reach seeds and missing members, and returns how many searches
// in a row have reached nobody.
func (g *Gossip) search(stood bool, failures int) int {
	ctx, cancel := context.WithTimeout(g.ctx, g.tuning.lastJoin)
	defer cancel()
	addrs, err := g.targets(ctx, stood)
	reached, failed := g.contact(addrs)
	err = errors.Join(err, failed)
	g.metrics.joins.WithLabelValues("reached").Add(float64(reached))
	switch {
	case g.ctx.Err() != nil:
		return failures
	case reached > 0, err == nil && len(addrs) == 0: // the only seed is this node itself
		g.lastJoin.Store(nil)
		if !g.joined.Swap(true) {
			g.touch()
		}
		return 0
	}
	if err == nil {
		err = errors.New("gossip: there is no seed")
	}
	g.metrics.joins.WithLabelValues("failed").Inc()
	text := complaints.Cut(err.Error())
	g.lastJoin.Store(&text)
	if !g.joined.Load() || g.alone() {
		g.complaints.Say("seeds", "no seed can be reached; the search goes on", "error", text)
	}
	return failures + 1
}

// targets are the seeds and the missing members, some of each if there are many.
func (g *Gossip) targets(ctx context.Context, stood bool) ([]netip.AddrPort, error) {
	addrs, err := g.tuning.lookup.resolve(ctx, g.seeds)
	addrs = some(g.dice, addrs)
	var others []netip.AddrPort
	for _, p := range g.roster.known() {
		at, bad := netip.ParseAddrPort(p.Gossip)
		if bad == nil && (p.State == Dead || stood && p.live()) {
			others = append(others, at)
		}
	}
	all := append(addrs, some(g.dice, others)...)
	seen := map[netip.AddrPort]bool{g.addr: true}
	kept := all[:0]
	for _, a := range all {
		if !seen[a] {
			seen[a] = true
			kept = append(kept, a)
		}
	}
	return kept, err
}

func some(dice *rand.Rand, addrs []netip.AddrPort) []netip.AddrPort {
	dice.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return addrs[:min(len(addrs), sought)]
}

// contact exchanges all that is known with each address, and returns how many
// answered and what was wrong with the last one that did not.
func (g *Gossip) contact(addrs []netip.AddrPort) (reached int, err error) {
	var mu sync.Mutex
	var working sync.WaitGroup
	queue := make(chan netip.AddrPort, len(addrs))
	for _, a := range addrs {
		queue <- a
	}
	close(queue)
	for range min(searchers, len(addrs)) {
		working.Go(func() {
			for a := range queue {
				if g.ctx.Err() != nil {
					return
				}
				_, bad := g.list.Join([]string{a.String()})
				mu.Lock()
				if bad == nil {
					reached++
				} else {
					err = fmt.Errorf("gossip: join %s: %s", a, advice(bad))
				}
				mu.Unlock()
			}
		})
	}
	working.Wait()
	return reached, err
}

// advice says what memberlist's error of a join most likely means.
func advice(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	switch {
	case strings.Contains(text, "could decrypt"), strings.Contains(text, "is encrypted"), strings.Contains(text, "not encrypted"):
		return "the other side has another gossip key: give both the same key file (" + text + ")"
	case strings.HasSuffix(text, "EOF"):
		return "it hung up: is that the gossip port, and of the same cluster's name? (" + text + ")"
	}
	return text
}
