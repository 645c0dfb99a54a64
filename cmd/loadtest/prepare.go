package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"time"

	"rollcall/load/identity"
	"rollcall/load/population"
	"rollcall/load/run"
	"rollcall/load/scenario"
	"rollcall/load/socket"
	"rollcall/load/target"
)

// Own is how a node of the load tester's own is started.
type Own struct {
	Node    string `type:"existingfile" help:"The node's program. Default: node beside this program, else it is built from the source."`
	Data    string `help:"Directory for its data and its log, kept afterwards. Default: a temporary one, removed."`
	NoFsync bool   `name:"no-fsync" help:"It does not force commits to the disk."`
}

// Remote is how nodes that run already are reached.
type Remote struct {
	Target       []string `placeholder:"URL" help:"Public address of a node; more are further nodes of its cluster, used in turn."`
	Admin        []string `placeholder:"URL" help:"Address of a node's admin listener, for its CPU and memory. One for each target, to compare with others."`
	TokenCommand string   `name:"token-command" placeholder:"CMD" help:"Shell command that reads 'tenant user' lines and prints an access token for each."`
	Issuer       string   `placeholder:"URL" help:"URL of a loadtest issuer, whose tokens the nodes believe."`
	IssuerKey    string   `name:"issuer-key" default:"loadtest.key" help:"With --issuer: its key."`
}

// prepared is all that a run needs, and what is to be closed after it.
type prepared struct {
	config run.Config
	node   *target.Node
	keys   *identity.KeyServer
	dir    string // to be removed; empty: none
}

func (p *prepared) close() (err error) {
	if p.node != nil {
		err = p.node.Stop()
	}
	if p.keys != nil {
		err = errors.Join(err, p.keys.Close())
	}
	if p.dir != "" && err == nil { // else the log is worth something
		err = os.RemoveAll(p.dir)
	}
	return err
}

// prepare finds or starts the nodes and names the people.
func (o *Options) prepare(ctx context.Context, out io.Writer, s *scenario.Scenario, people *population.People) (*prepared, error) {
	p := &prepared{config: run.Config{Scenario: s, People: people}}
	var err error
	if len(o.Target) == 0 {
		err = o.start(ctx, out, p)
	} else {
		err = o.reach(ctx, p)
	}
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	need := target.Need{Sockets: len(people.Devices), Loopback: true, Targets: len(p.config.Targets)}
	for _, t := range p.config.Targets {
		need.Loopback = need.Loopback && t.Loopback()
	}
	for i := range o.sources(need) {
		if need.Loopback {
			p.config.Sources = append(p.config.Sources, netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + i)}))
		}
	}
	return p, nil
}

// start runs a node of our own, with an issuer of our own.
func (o *Options) start(ctx context.Context, out io.Writer, p *prepared) (err error) {
	dir := o.Data
	if dir == "" {
		if dir, err = os.MkdirTemp("", "rollcall-loadtest-"); err != nil {
			return err
		}
		p.dir = dir
	} else if err = os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	program, err := target.Program(ctx, o.Node, dir, func(text string) { _, _ = fmt.Fprintln(out, text) })
	if err != nil {
		return err
	}
	key, err := identity.NewKey()
	if err != nil {
		return err
	}
	if p.keys, err = identity.ServeKey("127.0.0.1:0", key); err != nil {
		return err
	}
	p.node, err = target.Start(ctx, target.NodeConfig{
		Program: program, Dir: dir, Issuer: p.keys.URL, Audience: identity.Audience,
		Sockets: len(p.config.People.Devices), NoFsync: o.NoFsync,
	})
	if err != nil {
		return err
	}
	issuer := identity.NewIssuer(p.keys.URL, key, o.needs(p))
	p.config.Identity, p.config.Admins = issuer, []string{p.node.Admin}
	if err := p.aim(p.node.URL); err != nil {
		return err
	}
	s := p.config.Scenario
	return target.SetPolicies(ctx, p.node.URL, tenants(issuer.Users()),
		target.Policy{ChangeInterval: s.Policy.ChangeInterval, Grace: s.Policy.Grace}, issuer.Administrator)
}

func (o *Options) needs(p *prepared) identity.Needs {
	return identity.Needs{Seed: p.config.People.Seed, Tenant: p.config.People.Tenant}
}

func (p *prepared) aim(urls ...string) error {
	for _, u := range urls {
		t, err := socket.ParseTarget(u, nil)
		if err != nil {
			return err
		}
		p.config.Targets = append(p.config.Targets, t)
	}
	return nil
}

func tenants(users []identity.User) []string {
	var all []string
	for _, u := range users {
		all = append(all, u.Tenant)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// reach finds nodes that run already and somebody who vouches for our people.
func (o *Options) reach(ctx context.Context, p *prepared) error {
	if err := p.aim(o.Target...); err != nil {
		return fmt.Errorf("--target: %w", err)
	}
	for _, t := range p.config.Targets {
		if err := target.Ready(ctx, t.URL); err != nil {
			return err
		}
	}
	p.config.Admins = o.Admin
	if _, err := target.Scrape(ctx, o.Admin); err != nil {
		return fmt.Errorf("--admin: %w", err)
	}
	var err error
	p.config.Identity, err = o.people(ctx, p)
	return err
}

func (o *Options) people(ctx context.Context, p *prepared) (identity.People, error) {
	switch needs := o.needs(p); {
	case o.TokenCommand != "":
		c, err := identity.RunCommand(ctx, o.TokenCommand, needs)
		if err != nil {
			return nil, err
		}
		s := p.config.Scenario
		if ends := time.Now().Add(s.Connect.Over + s.Duration + s.Settle); c.Ends().Before(ends) {
			return nil, fmt.Errorf("--token-command: a token ends at %s, before the test does: it needs tokens that live longer",
				c.Ends().Format(time.TimeOnly))
		}
		return c, nil
	case o.Issuer != "":
		key, err := identity.LoadKey(o.IssuerKey, false)
		if err != nil {
			return nil, err
		}
		return identity.NewIssuer(o.Issuer, key, needs), nil
	default:
		return identity.NewDev(ctx, o.Target[0], needs)
	}
}

func loopback(urls []string) bool {
	return !slices.ContainsFunc(urls, func(u string) bool {
		t, err := socket.ParseTarget(u, nil)
		return err != nil || !t.Loopback()
	})
}

// perSource is how many connections share a source address: a port each, with
// room for those that have just ended.
const perSource = 10_000

// sources is how many source addresses are used.
func (o *Options) sources(n target.Need) int {
	switch most := target.ThisMachine().Loopback; {
	case !n.Loopback:
		return 1
	case o.Sources > 0:
		return min(o.Sources, most)
	default:
		return min((n.Sockets-1)/(perSource*n.Targets)+1, most)
	}
}
