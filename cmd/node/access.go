package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"

	"rollcall/client"
	"rollcall/gateway/auth/devissuer"
	"rollcall/presence"
)

// Access is how the tools reach a node and who they are there.
type Access struct {
	Server string `default:"http://127.0.0.1:8080" help:"URL of the node."`
	User   string `help:"Demo user to be, on a node in development mode: alice, bob, carol or dave. With an application's token: the user to publish for."`
	Token  string `env:"ROLLCALL_TOKEN" help:"Access token; without one --user gets it from a node in development mode."`
}

// config is a client for whoever the flags name.
func (a *Access) config() (client.Config, error) {
	cfg := client.Config{Server: a.Server}
	switch {
	case a.Token != "":
		cfg.Token = client.StaticToken(strings.TrimSpace(a.Token))
	case a.User != "":
		p, ok := demo(a.User)
		if !ok {
			return cfg, fmt.Errorf("--user %s is no demo user, which are alice, bob, carol and dave; somebody else needs a --token", a.User)
		}
		cfg.Token = func(ctx context.Context) (string, error) {
			return devToken(ctx, a.Server, url.Values{"user": {p.Login}})
		}
	default:
		return cfg, errors.New("say who you are: --user alice on a node in development mode, else --token or ROLLCALL_TOKEN")
	}
	return cfg, nil
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
