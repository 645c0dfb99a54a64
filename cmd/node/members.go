package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"rollcall/gateway"
)

// Members are the flags of node members.
type Members struct {
	Eyes `embed:""`
}

// Run shows the members of the cluster as one of them sees it.
func (m *Members) Run(ctx context.Context) error { return m.run(ctx, os.Stdout) }

func (m *Members) run(ctx context.Context, out io.Writer) error {
	return m.show(ctx, out, "", drawMembers)
}

// drawMembers shows ages; without now, times.
func drawMembers(out io.Writer, r *gateway.ClusterReport, now time.Time) {
	var b strings.Builder
	b.WriteString(heading(r) + "\n\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	writeRow(w, "", "ID", "STATE", "SINCE", "ZONE", "ROLES", "PEER ADDRESS", "CLIENTS", "PROTOCOL", "SHARDS", "UP")
	for i := range r.Members {
		writeRow(w, memberCells(r, &r.Members[i], now)...)
	}
	_ = w.Flush() // into memory
	b.WriteString("\n* answers\n" + copied(r) + remarks(r))
	_, _ = io.WriteString(out, trimmed(b.String())) // into memory
}

// heading says whose view this is and which table it has.
func heading(r *gateway.ClusterReport) string {
	if r.Cluster == "" {
		return fmt.Sprintf("node %s is alone (epoch %d)", r.Self, r.Epoch)
	}
	live := 0
	for _, m := range r.Members {
		if m.State == "alive" || m.State == "suspect" {
			live++
		}
	}
	text := fmt.Sprintf("cluster %s: %d members, epoch %d, table %s, gossip %s", r.Cluster, live, r.Epoch, r.TableHash, r.Gossip.Addr)
	if r.Gossip.Expect > 1 {
		text += fmt.Sprintf(", %d expected", r.Gossip.Expect)
	}
	return text
}

func memberCells(r *gateway.ClusterReport, m *gateway.MemberReport, now time.Time) []string {
	mark, state, up := " ", m.State, ""
	if m.ID == r.Self {
		mark = "*"
	}
	if m.Leaving && state == "alive" {
		state = "leaving"
	}
	if m.State == "alive" || m.State == "suspect" {
		up = passed(time.UnixMilli(int64(m.Incarnation)), now)
	}
	return []string{
		mark, m.ID, state, passed(m.Since, now), m.Zone, strings.Join(m.Roles, ","), m.Addr, m.URL,
		strconv.FormatUint(uint64(m.Protocol), 10), strconv.Itoa(m.Shards), up,
	}
}

// passed is the time since then, or when then was.
func passed(then, now time.Time) string {
	if now.IsZero() {
		return then.Local().Format("01-02T15:04:05")
	}
	return age(now.Sub(then))
}

// copied says how well what the node holds is copied.
func copied(r *gateway.ClusterReport) string {
	c := r.Copies
	if r.Cluster == "" {
		return ""
	}
	return fmt.Sprintf("copies of %s: durability %d; shards: %d unsettled, %d being fetched, %d kept for others\n",
		plain(r.Self), c.Durability, c.Unsettled, c.Pulls, c.Extra)
}

// remarks are what an operator should look at.
func remarks(r *gateway.ClusterReport) string {
	var b strings.Builder
	for _, m := range r.Members {
		if m.State == "suspect" {
			fmt.Fprintf(&b, "! %s does not answer everybody: it is declared dead unless it does soon\n", plain(m.ID))
		}
	}
	for _, m := range r.Members {
		if m.State == "alive" && !m.Admitted {
			fmt.Fprintf(&b, "! %s takes no part for %s, which has not reached its data port %s yet\n", plain(m.ID), r.Self, plain(m.Addr))
		}
	}
	if g := r.Gossip; g != nil && g.NotReady != "" {
		fmt.Fprintf(&b, "! %s is not ready: %s\n", r.Self, plain(g.NotReady))
	}
	if g := r.Gossip; g != nil && g.LastJoin != "" {
		fmt.Fprintf(&b, "! the last join of %s failed: %s\n", plain(strings.Join(g.Seeds, ", ")), plain(g.LastJoin))
	}
	for _, p := range r.Peers {
		if p.Shed+p.Lost > 0 {
			fmt.Fprintf(&b, "! to %s: %d messages shed, %d lost\n", plain(p.ID), p.Shed, p.Lost)
		}
	}
	return b.String()
}

// writeRow writes cells, which may be another node's words.
func writeRow(w io.Writer, cells ...string) {
	for i, c := range cells {
		if c = plain(c); c == "" && i > 0 {
			c = "-"
		}
		cells[i] = c
	}
	_, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) // into memory
}

// trimmed has no spaces at the ends of lines.
func trimmed(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n")
}
