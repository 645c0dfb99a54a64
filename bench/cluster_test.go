package bench

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// fleet is a cluster of nodes on loopback, each a process with a store of its own.
type fleet struct {
	nodes  []*node
	gossip string // what the next node joins
}

// startFleet runs a node on each directory and waits until all of them have met
// and have the same.
func startFleet(b *testing.B, s *settings, i *issuer, dirs []string, flags ...string) *fleet {
	b.Helper()
	f := &fleet{gossip: freeAddress(b)}
	for _, dir := range dirs {
		f.add(b, s, i, dir, flags...).ready(b)
	}
	for deadline := time.Now().Add(2 * patience); ; {
		missing := ""
		for _, n := range f.nodes {
			if r := n.copied(b); !r.settled(len(dirs)) {
				missing = n.admin
			}
		}
		if missing == "" {
			return f
		}
		if time.Now().After(deadline) {
			b.Fatalf("the cluster does not settle: %s says %s", missing, f.nodes[0].get(b, "/admin/v1/cluster"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// add starts one more node.
func (f *fleet) add(b *testing.B, s *settings, i *issuer, dir string, flags ...string) *node {
	b.Helper()
	own, to := freeAddress(b), []string{"--join", f.gossip}
	if len(f.nodes) == 0 {
		own, to = f.gossip, nil
	}
	all := append([]string{"--gossip-listen", own, "--peer-listen", freeAddress(b), "--drain-timeout", "0s"}, to...)
	n := openNode(b, s, i, dir, append(all, flags...)...)
	f.nodes = append(f.nodes, n)
	return n
}

func (f *fleet) processes() (ps []*process) {
	for _, n := range f.nodes {
		ps = append(ps, n.process)
	}
	return ps
}

// total is the sum over all nodes of a counter.
func (f *fleet) total(b *testing.B, name string) (sum float64) {
	for _, n := range f.nodes {
		sum += n.metrics(b)[name]
	}
	return sum
}

// copied is what a node says of its copies.
type copied struct {
	Members []struct{ State string }
	Shards  struct{ Settled bool }
	Copies  struct{ Durability, Unsettled, Pulls, Extra int }
}

func (n *node) copied(b *testing.B) copied {
	b.Helper()
	r, err := n.report()
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// report may be asked for by any goroutine.
func (n *node) report() (r copied, err error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + n.admin + "/admin/v1/cluster")
	if err != nil {
		return r, err
	}
	defer func() { _ = res.Body.Close() }() // it was read
	return r, json.NewDecoder(res.Body).Decode(&r)
}

// settled says that a cluster of so many has nothing to exchange.
func (r *copied) settled(members int) bool {
	alive := 0
	for _, m := range r.Members {
		if m.State == "alive" {
			alive++
		}
	}
	return alive == members && r.Shards.Settled && r.Copies.Unsettled+r.Copies.Pulls == 0 && r.Copies.Durability == min(members, 3)
}

// gatherAt connects clients to all nodes in turn.
func gatherAt(b *testing.B, i *issuer, nodes []*node, connections int) *crowd {
	b.Helper()
	k := newCrowd(b, nodes[0].listen)
	for u := range connections {
		to, err := netip.ParseAddrPort(nodes[u%len(nodes)].listen)
		if err != nil {
			b.Fatal(err)
		}
		k.clients = append(k.clients, &client{number: u, target: to, greeting: greeting{token: i.token(u, 0), endpoint: "bench"}})
	}
	k.connect(b, k.clients, 64)
	return k
}

// directories are so many, filled alike.
func directories(b *testing.B, count, users int) (dirs []string) {
	b.Helper()
	wake := time.Now().Add(24 * time.Hour)
	for n := range count {
		dir := filepath.Join(b.TempDir(), "data"+strconv.Itoa(n))
		fill(b, dir, users, wake, false)
		dirs = append(dirs, dir)
	}
	return dirs
}
