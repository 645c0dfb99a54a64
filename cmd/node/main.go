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
}

func main() {
	var c commands
	k := kong.Parse(&c, kong.Name("node"), kong.UsageOnError(),
		kong.Description("Rollcall, a presence service. Without arguments: a node for development on this machine."))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}
