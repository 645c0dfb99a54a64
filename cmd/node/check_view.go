package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"rollcall/persistence"
)

// text shows the findings to a person: what is there, then what is wrong and
// what to do about it.
func (f *Findings) text() string {
	var b strings.Builder
	if len(f.Stores) > 0 {
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		writeRow(w, "STORE", "USERS", "SESSIONS", "LEASED", "LISTS", "BLOCKS", "EXPIRED", "CLEARED", "POLICIES", "FEED", "SHARDS")
		for i := range f.Stores {
			s := &f.Stores[i]
			r := &s.Report
			cells := []string{s.Of}
			for _, n := range []int{r.Users, r.Sessions, r.Leased, r.Lists, r.Blocks, r.Expired, r.Cleared, r.Policies, r.Feed, r.Shards} {
				cells = append(cells, strconv.Itoa(n))
			}
			writeRow(w, cells...)
		}
		_ = w.Flush() // into memory
		b.WriteString("\n")
	}
	for i := range f.Stores {
		storeFaults(&b, f.Stores[i].Of, &f.Stores[i].Report)
	}
	if f.Compare != nil {
		f.Compare.text(&b)
	}
	if !f.Wrong {
		b.WriteString("nothing is wrong\n")
	}
	return trimmed(b.String())
}

func storeFaults(b *strings.Builder, of string, r *persistence.CheckReport) {
	of = plain(of)
	fault := func(n int, what, do string, which []string) {
		if n == 0 {
			return
		}
		fmt.Fprintf(b, "! %s: %d %s: %s\n", of, n, what, do)
		for _, w := range which {
			fmt.Fprintf(b, "    %s\n", plain(w))
		}
		if n > len(which) && len(which) > 0 {
			fmt.Fprintf(b, "    and %d more\n", n-len(which))
		}
	}
	fault(r.Orphans, "values that nothing reads", "another version wrote them, or a bug did: report it", r.OrphanKeys)
	fault(r.Ghosts, "ghosts, sessions of devices that nothing would end", "anything published for these users ends them; report it", r.GhostUsers)
	fault(r.Ahead, "users with a time in the future", "a clock is or was wrong: see docs/consistency.md, clocks", r.AheadUsers)
	fault(r.WrongDigests, "shards with a wrong digest", "restart the node, which computes them anew; report it", numbers(r.WrongShards))
}

func numbers[N int | uint16](list []N) (texts []string) {
	for _, n := range list {
		texts = append(texts, "shard "+strconv.Itoa(int(n)))
	}
	return texts
}

// shownShards bounds how many shards are named.
const shownShards = 10

func (c *Comparison) text(b *strings.Builder) {
	fmt.Fprintf(b, "%d nodes, %d rounds: %d shards compared (%d of them not with every holder), %d with one holder asked; %d old copies wait to be dropped\n",
		c.Nodes, c.Rounds, c.Compared, c.Partly, c.Alone, c.Leftover)
	if len(c.Tables) > 0 {
		b.WriteString("! the nodes do not agree on who holds what, so nothing was compared: a node is joining or leaving, or they do not see each other; see node members at each\n")
		for _, id := range slices.Sorted(maps.Keys(c.Tables)) {
			fmt.Fprintf(b, "    %s: table %s\n", plain(id), plain(c.Tables[id]))
		}
	}
	if n := len(c.Unknown); n > 0 {
		fmt.Fprintf(b, "! %d shards are still being read by a holder after its start: run the check again later\n", n)
	}
	if n := len(c.Differ); n > 0 {
		fmt.Fprintf(b, "! %d shards differ: the nodes compare them every minute and fetch what they lack", n)
		if !c.Settled {
			b.WriteString(", and shards are on their way now")
		}
		b.WriteString("; if it stays so, report it\n")
		for _, d := range c.Differ[:min(n, shownShards)] {
			fmt.Fprintf(b, "    shard %d:", d.Shard)
			for _, id := range slices.Sorted(maps.Keys(d.Roots)) {
				fmt.Fprintf(b, " %s %s", plain(id), plain(d.Roots[id]))
			}
			b.WriteString("\n")
		}
		if n > shownShards {
			fmt.Fprintf(b, "    and %d more\n", n-shownShards)
		}
	}
}
