package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"

	"rollcall/client"
	"rollcall/gateway/auth/devissuer"
	"rollcall/presence"
)

// Access is how the tools reach a node and who they are there.
type Access struct {
	Server []string `default:"http://127.0.0.1:8080" placeholder:"URL" help:"URL of the node; more are further nodes of its cluster, for when it is gone."`
	User   string   `help:"Demo user to be, on a node in development mode: alice, bob, carol or dave. With an application's token: the user to publish for."`
	Token  string   `env:"ROLLCALL_TOKEN" help:"Access token; without one --user gets it from a node in development mode."`
}

// config is a client for whoever the flags name.
func (a *Access) config() (client.Config, error) {
	cfg := client.Config{Servers: a.Server}
	switch {
	case a.Token != "":
		cfg.Token = client.StaticToken(strings.TrimSpace(a.Token))
	case a.User != "":
		p, ok := demo(a.User)
		if !ok {
			return cfg, fmt.Errorf("--user %s is no demo user, which are alice, bob, carol and dave; somebody else needs a --token", a.User)
		}
		cfg.Token = (&tokens{servers: a.Server, login: p.Login}).fetch
	default:
		return cfg, errors.New("say who you are: --user alice on a node in development mode, else --token or ROLLCALL_TOKEN")
	}
	return cfg, nil
}

// node is the first address, for advice.
func (a *Access) node() string {
	if len(a.Server) == 0 {
		return ""
	}
	return a.Server[0]
}

// tokens are a demo user's, from the first of several nodes that answers. The
// last one is kept: a node that was hinted at may be the only one left.
type tokens struct {
	servers []string
	login   string

	mu   sync.Mutex
	last string
	ends time.Time
}

// tokenTime bounds each attempt but that at a single node.
const tokenTime = 3 * time.Second

func (t *tokens) fetch(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var failed error
	for _, server := range t.servers {
		token, life, err := t.ask(ctx, server)
		if err == nil {
			t.last, t.ends = token, time.Now().Add(life)
			return token, nil
		}
		failed = errors.Join(failed, err)
	}
	if time.Now().Before(t.ends) {
		return t.last, nil
	}
	return "", failed
}

func (t *tokens) ask(ctx context.Context, server string) (string, time.Duration, error) {
	if len(t.servers) > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, tokenTime)
		defer cancel()
	}
	return devToken(ctx, server, url.Values{"user": {t.login}})
}

// person is a user of the command line: what the protocol calls them, and what
// people do.
type person struct{ id, label string }

// demo finds a demo user by name, GUID or MRI.
func demo(name string) (devissuer.Person, bool) {
	for _, p := range devissuer.Demo {
		if strings.EqualFold(name, p.Login) || len(name) >= len(p.ID) && strings.EqualFold(name[len(name)-len(p.ID):], p.ID) {
			return p, true
		}
	}
	return devissuer.Person{}, false
}

// resolve reads a demo user's name; a GUID or an MRI is for the client to read.
func resolve(name string) person {
	p, ok := devissuer.Find(name)
	if !ok {
		return person{name, name}
	}
	id := "8:orgid:" + p.ID
	if p.Tenant != devissuer.HomeTenant {
		id = presence.UserID{Tenant: p.Tenant, MRI: id}.String()
	}
	return person{id, p.Login}
}

// plain is text of somebody else that can do nothing to a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
}
