package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"rollcall/client"
)

// Watch are the flags of node watch.
type Watch struct {
	Access `embed:""`
	Plain  bool     `help:"Lines instead of a table, as when the output is no terminal."`
	JSON   bool     `name:"json" help:"Speak the JSON subprotocol instead of protobuf."`
	Users  []string `arg:"" help:"Whom to watch: demo users by name, others by GUID, 8:orgid:<guid> or <tenant>/8:orgid:<guid>."`
}

// Run follows the users until it is interrupted.
func (w *Watch) Run(ctx context.Context) error {
	cfg, err := w.config()
	if err != nil {
		return err
	}
	if w.Plain || !terminal(os.Stdout) {
		return w.lines(ctx, cfg, os.Stdout, os.Stderr)
	}
	return w.table(ctx, cfg)
}

func (w *Watch) config() (client.Config, error) {
	cfg, err := w.Access.config()
	if w.JSON {
		cfg.Encoding = client.JSON
	}
	return cfg, err
}

// people are the users named, and their names by id.
func (w *Watch) people() (ids []string, labels map[string]string) {
	labels = map[string]string{}
	for _, u := range w.Users {
		p := resolve(u)
		ids = append(ids, p.id)
		labels[p.id] = p.label
	}
	return ids, labels
}

// open connects and watches.
func (w *Watch) open(ctx context.Context, cfg client.Config, ids []string) (*client.Client, error) {
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		return nil, advice(err, w.node())
	}
	if err := c.Watch(ctx, ids...); err != nil {
		return nil, errors.Join(advice(err, w.node()), leave(c))
	}
	return c, nil
}

// leaveWithin bounds the goodbye, without which the node would keep the endpoint
// for a while.
const leaveWithin = 2 * time.Second

func leave(c *client.Client) error {
	if s := c.State(); s.Status != client.Connected {
		return c.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	return c.SignOut(ctx)
}

// lines writes a line for each change to out, and to problems what happens to the
// connection.
func (w *Watch) lines(ctx context.Context, cfg client.Config, out, problems io.Writer) error {
	ids, labels := w.people()
	cfg.OnState = func(s client.State) {
		text := ""
		switch {
		case s.Status == client.Waiting:
			text = fmt.Sprintf("%s not connected: %v\n", clock(s.Since), s.Err)
		case s.Status == client.Connected:
			text = clock(s.Since) + " connected to " + plain(s.Server) + "\n"
		}
		_, _ = io.WriteString(problems, text) // remarks; the lines are what counts
	}
	c, err := w.open(ctx, cfg, ids)
	if err != nil {
		return err
	}
	for {
		select {
		case p, ok := <-c.Changes():
			if !ok {
				return errors.Join(c.State().Err, c.Close())
			}
			if _, err := fmt.Fprintln(out, line(p, labels)); err != nil {
				return errors.Join(err, leave(c))
			}
		case <-ctx.Done():
			return leave(c)
		}
	}
}

func line(p client.Presence, labels map[string]string) string {
	return fmt.Sprintf("%s %s %s %s", clock(p.Received), label(p.User, labels), state(p.Availability, p.Activity), p.Version)
}

func label(user string, labels map[string]string) string {
	if l, ok := labels[user]; ok {
		return l
	}
	for id, l := range labels { // named by GUID, or with the home tenant
		if len(id) >= guidLen && len(user) >= guidLen && strings.EqualFold(id[len(id)-guidLen:], user[len(user)-guidLen:]) {
			return l
		}
	}
	return user
}

const guidLen = 36

func clock(t time.Time) string { return t.Local().Format("15:04:05.000") }

// table shows the users in the terminal until q.
func (w *Watch) table(ctx context.Context, cfg client.Config) error {
	ids, labels := w.people()
	v := newView(w.node(), ids, labels)
	p := tea.NewProgram(v, tea.WithContext(ctx), tea.WithAltScreen())
	cfg.OnChange = func(c client.Presence) { p.Send(c) }
	cfg.OnState = func(s client.State) { p.Send(s) }
	c, err := client.New(cfg)
	if err != nil {
		return err
	}
	watched := make(chan struct{})
	watching, stop := context.WithCancel(ctx)
	go func() { // ended by stop, below
		defer close(watched)
		if err := c.Watch(watching, ids...); err != nil && watching.Err() == nil {
			p.Send(failed{advice(err, w.node())})
		}
	}()
	last, err := p.Run()
	stop()
	<-watched
	if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, context.Canceled) {
		err = nil // interrupted
	}
	if v, ok := last.(view); ok && v.err != nil {
		err = v.err
	}
	return errors.Join(err, leave(c))
}
