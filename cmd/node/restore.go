package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"rollcall/persistence"
)

// Restore are the flags of node restore.
type Restore struct {
	Data    string   `required:"" placeholder:"DIR" help:"Data directory to make: an empty one, or one that does not exist."`
	Cluster string   `help:"Cluster that the backups must be of. Default: any, but all of them of one."`
	JSON    bool     `name:"json" help:"The outcome in JSON on the standard output."`
	Files   []string `arg:"" name:"file" type:"existingfile" help:"Backups, as node backup writes them. Copies of a user in several of them are merged."`
}

// Run makes the directory; remarks go to the standard error.
func (r *Restore) Run(ctx context.Context) error { return r.run(ctx, os.Stdout, os.Stderr) }

func (r *Restore) run(ctx context.Context, stdout, stderr io.Writer) error {
	m := newMeter(stderr)
	report, err := persistence.Restore(ctx, persistence.RestoreConfig{
		Dir: r.Data, Files: r.Files, Cluster: r.Cluster,
		Progress: func(p persistence.RestoreProgress) {
			switch {
			case p.Total > 0:
				m.show("%s: %d of %d records, %s", p.Stage, p.Done, p.Total, m.since())
			default:
				m.show("%s: %d records, %s", p.Stage, p.Done, m.since())
			}
		},
	})
	if err != nil {
		return err
	}
	for _, p := range report.Parts {
		m.say("from node n%s as of %s", strconv.FormatUint(p.Node, 36), p.Taken.Local().Format(time.DateTime))
	}
	m.say("%s: %d users, %d policies, verified, in %s; the node will be n%s",
		r.Data, report.Users, report.Policies, m.since(), strconv.FormatUint(report.Node, 36))
	var faults strings.Builder
	storeFaults(&faults, r.Data, &report.Check)
	if text := strings.TrimSpace(faults.String()); text != "" {
		m.say("%s", text)
	}
	if !r.JSON {
		return nil
	}
	text, err := json.Marshal(report)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s\n", text)
	return err
}
