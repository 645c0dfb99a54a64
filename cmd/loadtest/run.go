package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"rollcall/load/population"
	"rollcall/load/report"
	"rollcall/load/run"
	"rollcall/load/scenario"
	"rollcall/load/target"
	"rollcall/load/view"
)

// Smoke are the flags of loadtest smoke.
type Smoke struct {
	Options `embed:""`
}

// Run carries out the scenario smoke.
func (s *Smoke) Run(ctx context.Context, out io.Writer) error {
	return s.carryOut(ctx, out, "smoke")
}

// Run are the flags of loadtest run.
type Run struct {
	Scenario string `arg:"" help:"Name of a scenario, as list has it, or a YAML file."`
	Options  `embed:""`
}

// Run carries out a scenario.
func (r *Run) Run(ctx context.Context, out io.Writer) error {
	return r.carryOut(ctx, out, r.Scenario)
}

// Options are what both take.
type Options struct {
	Seed     *uint64       `help:"Another seed than the scenario's: other people, other moments."`
	Users    int           `help:"Another number of people; rates, hot users' watchers and publishes in flight change in proportion."`
	Duration time.Duration `help:"Another length of the load."`
	Report   string        `default:"loadtest-{scenario}" help:"Files to write, without .html and .json; {scenario} is its name. Empty: none."`
	Plain    bool          `help:"Lines instead of a table, as when the output is no terminal."`
	Force    bool          `help:"Begin although this machine has too little of something."`
	Sources  int           `help:"Source addresses, of 127.0.0.2 and following, where the targets are on loopback. Default: as many as are needed."`

	Own    `embed:"" group:"A node of its own (without --target)"`
	Remote `embed:"" group:"Nodes that run already"`
}

// carryOut is a test from the scenario's name to the files.
func (o *Options) carryOut(ctx context.Context, out io.Writer, name string) error {
	s, err := o.scenario(name)
	if err != nil {
		return err
	}
	people := population.Generate(s.Population, s.Seed)
	if err := o.fits(s, people); err != nil {
		return err
	}
	p, err := o.prepare(ctx, out, s, people)
	if err != nil {
		return err
	}
	outcome, err := o.play(ctx, out, p)
	err = errors.Join(err, p.close())
	if outcome == nil || len(outcome.Series) == 0 {
		return err
	}
	outcome.Environment.Machine, outcome.Environment.Command = target.Describe(), strings.Join(os.Args, " ")
	outcome.Environment.OwnNode, outcome.Environment.Fsync = p.node != nil, p.node != nil && !o.NoFsync
	view.Verdict(out, outcome)
	if err := errors.Join(err, o.write(out, outcome)); err != nil {
		return err
	}
	if !outcome.Passed {
		return errFailed
	}
	return nil
}

func (o *Options) scenario(name string) (*scenario.Scenario, error) {
	s, err := load(name)
	if err != nil {
		return nil, err
	}
	if o.Seed != nil {
		s.Seed = *o.Seed
	}
	if o.Users > 0 {
		s.Scale(o.Users)
	}
	if o.Duration > 0 {
		s.Duration = o.Duration
	}
	return s, s.Check()
}

// fits checks that this machine can hold the test.
func (o *Options) fits(s *scenario.Scenario, people *population.People) error {
	_, pairs := people.Pairs()
	need := target.Need{
		Sockets: len(people.Devices), Pairs: pairs, Users: s.Population.Users,
		OwnNode: len(o.Target) == 0, Loopback: len(o.Target) == 0 || loopback(o.Target), Targets: max(len(o.Target), 1),
	}
	need.Sources = o.sources(need)
	lacks := need.Check(target.ThisMachine())
	if len(lacks) == 0 || o.Force {
		return nil
	}
	return fmt.Errorf("this machine cannot hold the scenario:\n  %s\n(--force begins all the same)", strings.Join(lacks, "\n  "))
}

// play runs it with something to look at.
func (o *Options) play(ctx context.Context, out io.Writer, p *prepared) (*report.Outcome, error) {
	ctx, interrupt := context.WithCancelCause(ctx)
	var guard sync.WaitGroup
	defer guard.Wait()
	defer interrupt(nil)
	if p.node != nil {
		guard.Go(func() {
			select {
			case <-p.node.Ended():
				interrupt(errNodeEnded)
			case <-ctx.Done():
			}
		})
	}
	file, ok := out.(*os.File)
	if o.Plain || !ok || !terminal(file) || !terminal(os.Stdin) {
		p.config.Progress = view.Lines(out)
		return run.New(p.config).Do(ctx)
	}
	title := fmt.Sprintf("Rollcall load test  %s  seed %d  %s", p.config.Scenario.Name, p.config.People.Seed, p.config.Targets[0].URL)
	live := view.Show(ctx, title, func() { interrupt(errInterrupted) })
	defer live.End()
	p.config.Progress = live.Progress
	return run.New(p.config).Do(ctx)
}

// Reasons for a test to end early.
var (
	errInterrupted = errors.New("interrupted")
	errNodeEnded   = errors.New("the node has ended")
)

func terminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// write makes both files.
func (o *Options) write(out io.Writer, outcome *report.Outcome) error {
	if o.Report == "" {
		return nil
	}
	base := strings.ReplaceAll(o.Report, "{scenario}", outcome.Scenario)
	for ending, write := range map[string]func(io.Writer) error{".json": outcome.WriteJSON, ".html": outcome.WriteHTML} {
		f, err := os.Create(base + ending)
		if err != nil {
			return err
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			return fmt.Errorf("%s%s: %w", base, ending, err)
		}
	}
	_, err := fmt.Fprintf(out, "\n  %[1]s.html   %[1]s.json\n", base)
	return err
}
