package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// commands are the program's. serve is the one without a name.
type commands struct {
	Serve Serve `cmd:"" default:"withargs" help:"Run a node. This is what node does without a command."`
	Token Token `cmd:"" help:"Print an access token from a node in development mode."`

	Publish Publish `cmd:"" help:"Publish a user's state or note."`
	Watch   Watch   `cmd:"" help:"Watch users: a live table, or lines where the output is no terminal."`

	Members Members `cmd:"" help:"Show the members of a cluster, as one of them sees it."`
	Shards  Shards  `cmd:"" help:"Show which member has how many shards, and what is being handed over."`
	Drain   Drain   `cmd:"" help:"Hand a node's users and clients over to the others and end it."`

	Backup  Backup  `cmd:"" help:"Write what a node has, or every node of a cluster, into a file."`
	Restore Restore `cmd:"" help:"Make a new data directory from backups."`
	Check   Check   `cmd:"" help:"Verify a store, or what running nodes have, and say what is wrong."`

	Certs Certs `cmd:"" help:"Make an authority for a cluster without one, and a node's certificates and gossip key."`
}

func main() {
	var c commands
	k := kong.Parse(&c, kong.Name("node"), kong.UsageOnError(),
		kong.Description("Rollcall, a presence service. Without arguments: a node for development on this machine."))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}
