package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"rollcall/client"
	"rollcall/presence"
)

// Publish are the flags of node publish.
type Publish struct {
	Access       `embed:""`
	Availability string `help:"Available, Busy, DoNotDisturb, BeRightBack, Away or Offline."`
	Activity     string `help:"Detail, as InACall; may be left out where the availability has a plain one."`
	Note         string `help:"Status note, up to 280 characters."`
	Pinned       bool   `help:"Show the note to those who write to the user."`
	Duration     string `help:"How long, as 30m or PT30M. Default: 1h for a state, for ever for a note."`
	Source       string `enum:"auto,client,app,preferred,note" default:"auto" help:"Who says so: client (while this runs), app, preferred (shows while signed in somewhere), note. auto: what shows the state for the duration by itself."`
	Key          string `default:"node-publish" help:"Session id of an app source."`
	Clear        bool   `help:"Take back what the source said; auto: all that this command says."`
}

// Run publishes and says what.
func (p *Publish) Run(ctx context.Context) error { return p.run(ctx, os.Stdout) }

func (p *Publish) run(ctx context.Context, out io.Writer) error {
	said, err := p.parse()
	if err != nil {
		return err
	}
	cfg, err := p.config()
	if err != nil {
		return err
	}
	if p.Source == "client" {
		return p.hold(ctx, cfg, said, out)
	}
	for _, s := range said.sources(p) {
		v, err := client.Post(ctx, cfg, p.meant(s))
		if err != nil {
			return advice(err, p.node())
		}
		if _, err := fmt.Fprintf(out, "%s, version %s\n", describe(s), v); err != nil {
			return err
		}
	}
	return nil
}

// saying is what the flags say, read.
type saying struct {
	availability presence.Availability
	activity     presence.Activity
	duration     time.Duration
}

// shortSession is the least time for which an app session is granted, longSession
// the most.
const (
	shortSession = presence.MinAppSession
	longSession  = presence.MaxAppSession
)

func (p *Publish) parse() (s saying, err error) {
	if p.Availability != "" {
		if s.availability, err = presence.ParseAvailability(p.Availability); err != nil {
			return s, fmt.Errorf("--availability %s: use Available, Busy, DoNotDisturb, BeRightBack, Away or Offline", p.Availability)
		}
	}
	if p.Activity != "" {
		if s.activity, err = presence.ParseActivity(p.Activity); err != nil {
			return s, fmt.Errorf("--activity %s: use the availability's own name or one of InACall, InAConferenceCall, Presenting", p.Activity)
		}
	}
	if s.duration, err = lasting(p.Duration); err != nil {
		return s, err
	}
	needs := p.Source != "note" && (p.Source != "auto" || p.Note == "")
	switch {
	case p.Clear:
	case needs && p.Availability == "":
		err = errors.New("say what to publish: --availability Busy, or --note \"back at 3\", or --clear")
	case p.Source == "note" && p.Note == "":
		err = errors.New("--source note needs --note, or --clear")
	}
	return s, err
}

// lasting reads 30m as well as PT30M; 0 when nothing is said.
func lasting(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	if d, err := presence.ParseDuration(strings.ToUpper(text)); err == nil {
		return d, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("--duration %s: use a time such as 30m, 2h or PT30M", text)
	}
	return d, nil
}

// sources are what to publish, in order.
func (s saying) sources(p *Publish) []client.Source {
	note := client.Note{Text: p.Note, Pinned: p.Pinned, Duration: s.duration}
	d := s.duration
	if d == 0 {
		d = time.Hour
	}
	app := client.App{Key: p.Key, Availability: s.availability, Activity: s.activity, Duration: d}
	preferred := client.Preferred{Availability: s.availability, Activity: s.activity, Duration: d}
	var list []client.Source
	switch p.Source {
	case "app":
		list = []client.Source{app}
	case "preferred":
		list = []client.Source{preferred}
	case "auto":
		list = s.auto(p, app, preferred)
	}
	if p.Note != "" || p.Clear && p.Source == "note" {
		list = append(list, note)
	}
	if p.Clear {
		for i := range list {
			list[i] = client.Cleared{Source: list[i]}
		}
	}
	return list
}

// auto makes the state show without anybody being signed in: what an app may say
// is said as one, anything else is preferred over an app session that is there
// for as long.
func (s saying) auto(p *Publish, app client.App, preferred client.Preferred) []client.Source {
	switch {
	case p.Clear:
		return []client.Source{app, preferred}
	case p.Availability == "":
		return nil
	case s.activity != presence.ActPresenceUnknown && presence.CheckAppSession(s.availability, s.activity) == nil:
		return []client.Source{app, client.Cleared{Source: preferred}} // which would hide it
	}
	app.Availability, app.Activity = presence.Available, presence.ActAvailable
	app.Duration = min(max(app.Duration, shortSession), longSession)
	if s.availability == presence.Offline {
		return []client.Source{preferred}
	}
	return []client.Source{preferred, app} // the other way round Available would flash up
}

// meant is a source for the user whom an application publishes for.
func (p *Publish) meant(s client.Source) client.Source {
	if p.Token == "" || p.User == "" {
		return s
	}
	return client.For{User: resolve(p.User).id, Source: s}
}

// hold is a device: the state lasts as long as the command runs.
func (p *Publish) hold(ctx context.Context, cfg client.Config, s saying, out io.Writer) error {
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		return advice(err, p.node())
	}
	device := client.Device{Availability: s.availability, Activity: s.activity}
	v, err := c.Publish(ctx, device)
	if err == nil {
		_, err = fmt.Fprintf(out, "%s, version %s, until this ends (Ctrl-C)\n", describe(device), v)
	}
	if s.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.duration)
		defer cancel()
	}
	if err == nil {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		err = nil // the usual end
	}
	return errors.Join(advice(err, p.node()), leave(c))
}

func describe(s client.Source) string {
	switch s := s.(type) {
	case client.Cleared:
		name, _, _ := strings.Cut(describe(s.Source), ":")
		return name + ": cleared"
	case client.Device:
		return "client: " + state(s.Availability, s.Activity)
	case client.App:
		return "app: " + state(s.Availability, s.Activity) + " for " + s.Duration.String()
	case client.Preferred:
		return "preferred: " + state(s.Availability, s.Activity) + " for " + s.Duration.String()
	case client.Note:
		return fmt.Sprintf("note: %q", s.Text)
	}
	return fmt.Sprintf("%T", s)
}

func state(a presence.Availability, act presence.Activity) string {
	if act == presence.ActPresenceUnknown {
		return a.String()
	}
	return a.String() + "/" + act.String()
}

// advice says what to do about an error of the node.
func advice(err error, server string) error {
	var e *client.Error
	switch {
	case !errors.As(err, &e):
	case strings.HasPrefix(e.Code, "token_"):
		return fmt.Errorf("%w; get a token with: node token --server %s --user alice", err, server)
	case e.Code == "bad_state":
		return fmt.Errorf("%w; docs/protocol.md lists what each source may say", err)
	case e.RetryAfter > 0:
		return fmt.Errorf("%w; try again in %s", err, e.RetryAfter)
	}
	return err
}
