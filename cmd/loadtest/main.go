package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// commands are the program's.
type commands struct {
	Smoke   Smoke   `cmd:"" help:"The scenario smoke: does it work at all? Ten seconds."`
	Run     Run     `cmd:"" help:"Carry out a scenario."`
	List    List    `cmd:"" help:"List the scenarios that come with the program."`
	Show    Show    `cmd:"" help:"Print a scenario's file, to make one of your own from."`
	Compare Compare `cmd:"" help:"Compare the JSON files of two tests."`
	Issuer  Issuer  `cmd:"" help:"Serve as the issuer of tokens that the nodes of a cluster under test believe."`
}

// Exit codes besides 0.
const (
	exitFailed = 1 // an objective does not hold
	exitError  = 2 // there is no result
)

// errFailed says that an objective does not hold; that was told already.
var errFailed = errors.New("an objective does not hold")

func main() {
	var c commands
	k := kong.Parse(&c, kong.Name("loadtest"), kong.UsageOnError(),
		kong.Description("Loads Rollcall with people who look real. Start with: loadtest smoke"))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	k.BindTo(ctx, (*context.Context)(nil))
	k.BindTo(os.Stdout, (*io.Writer)(nil))
	switch err := k.Run(); {
	case errors.Is(err, errFailed):
		os.Exit(exitFailed)
	case err != nil:
		fmt.Fprintln(os.Stderr, "loadtest:", err)
		os.Exit(exitError)
	}
}
