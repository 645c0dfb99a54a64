package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"rollcall/gateway"
	"rollcall/gateway/auth/devissuer"
)

// Shards are the flags of node shards.
type Shards struct {
	Eyes `embed:""`
	Of   string `placeholder:"USER" help:"Say which members hold a user: a demo user's name, or <tenant>/8:orgid:<guid>."`
}

// Run shows which member has how many shards.
func (s *Shards) Run(ctx context.Context) error { return s.run(ctx, os.Stdout) }

func (s *Shards) run(ctx context.Context, out io.Writer) error {
	query := ""
	if s.Of != "" {
		query = "?of=" + url.QueryEscape(wholeID(s.Of))
	}
	return s.show(ctx, out, query, drawShards)
}

// wholeID names a user with the tenant, which demo users have without a word.
func wholeID(name string) string {
	id := resolve(name).id
	if _, ok := demo(name); ok && !strings.Contains(id, "/") {
		return devissuer.HomeTenant.String() + "/" + id
	}
	return id
}

const barWidth = 30

func drawShards(out io.Writer, r *gateway.ClusterReport, _ time.Time) {
	var b strings.Builder
	b.WriteString(heading(r) + "\n\n")
	if r.User != nil {
		drawHolders(&b, r)
	}
	total, most, owners := 0, 1, 0
	for _, m := range r.Members {
		total += m.Shards
		most = max(most, m.Shards)
		if m.Shards > 0 {
			owners++
		}
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	writeRow(w, "", "ID", "STATE", "SHARDS", "SHARE", "TO AVERAGE", " ")
	for _, m := range r.Members {
		mark := " "
		if m.ID == r.Self {
			mark = "*"
		}
		share := fmt.Sprintf("%.1f %%", 100*float64(m.Shards)/float64(max(total, 1)))
		ratio := fmt.Sprintf("%.3f", float64(m.Shards*owners)/float64(max(total, 1)))
		bar := strings.Repeat("█", m.Shards*barWidth/most)
		writeRow(w, mark, m.ID, m.State, strconv.Itoa(m.Shards), share, ratio, bar+" ")
	}
	_ = w.Flush() // into memory
	s, v := &r.Shards, &r.Moves
	fmt.Fprintf(&b, "\nlargest share over the average: %.3f\n", s.Imbalance)
	fmt.Fprintf(&b, "%s: %d served, %d awaited, %d taking, %d held, %d yielding, %d activations\n",
		r.Self, s.Served, s.Awaited, s.Taking, s.Held, s.Yielding, s.Activations)
	fmt.Fprintf(&b, "moves from %s: %d under way, %d done with %d users, %d conflicts\n",
		r.Self, v.UnderWay, v.Done, v.Users, v.Conflicts)
	if !s.Settled {
		b.WriteString("shards are on their way; every one of them is served meanwhile\n")
	}
	_, _ = io.WriteString(out, trimmed(b.String())) // into memory
}

func drawHolders(b *strings.Builder, r *gateway.ClusterReport) {
	u := r.User
	fmt.Fprintf(b, "%s is in shard %d: ", plain(u.ID), u.Shard)
	switch {
	case u.Owner == "":
		b.WriteString("no member keeps users\n\n")
	case len(u.Replicas) < 2:
		fmt.Fprintf(b, "owner %s, no replica\n\n", plain(u.Owner))
	default:
		fmt.Fprintf(b, "owner %s, replicas %s\n\n", plain(u.Owner), plain(strings.Join(u.Replicas[1:], ", ")))
	}
}
