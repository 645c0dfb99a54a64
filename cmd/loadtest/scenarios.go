package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"rollcall/load/identity"
	"rollcall/load/report"
	"rollcall/load/scenario"
	"rollcall/load/view"
)

// List has no flags.
type List struct{}

// Run prints a line for each scenario.
func (*List) Run(out io.Writer) error {
	for _, name := range scenario.Shipped() {
		s, err := scenario.Load(name)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%-16s %4s  %s\n", s.Name, s.Duration, s.About); err != nil {
			return err
		}
	}
	return nil
}

// Show are the flags of loadtest show.
type Show struct {
	Name string `arg:"" help:"Name of a scenario, as list has it."`
}

// Run prints the file.
func (s *Show) Run(out io.Writer) error {
	if _, err := scenario.Load(s.Name); err != nil {
		return err
	}
	text, _ := scenario.Text(s.Name) // it was loaded
	_, err := out.Write(text)
	return err
}

// load reads a shipped scenario by name, or a file: whatever has a dot or a
// slash in it.
func load(what string) (*scenario.Scenario, error) {
	if !strings.ContainsAny(what, "./"+string(filepath.Separator)) {
		return scenario.Load(what)
	}
	f, err := os.Open(what)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was read
	text, err := io.ReadAll(io.LimitReader(f, scenario.MaxFile+1))
	if err != nil {
		return nil, err
	}
	return scenario.Parse(what, text)
}

// Compare are the flags of loadtest compare.
type Compare struct {
	Before string `arg:"" help:"JSON of the earlier test."`
	After  string `arg:"" help:"JSON of the later test."`
}

// Run prints the difference.
func (c *Compare) Run(out io.Writer) error {
	a, err := report.Read(c.Before)
	if err != nil {
		return err
	}
	b, err := report.Read(c.After)
	if err != nil {
		return err
	}
	return view.Compare(out, a, b)
}

// Issuer are the flags of loadtest issuer.
type Issuer struct {
	Listen string `default:"127.0.0.1:9400" help:"Address to listen on. Nodes take http issuers on loopback addresses only."`
	Key    string `default:"loadtest.key" help:"File with the signing key; made when it is missing. Whoever has it can be anybody."`
}

// Run serves until it is interrupted.
func (i *Issuer) Run(ctx context.Context, out io.Writer) error {
	key, err := identity.LoadKey(i.Key, true)
	if err != nil {
		return err
	}
	s, err := identity.ServeKey(i.Listen, key)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "nodes    node serve --issuer %[1]s --audience %[2]s ...\nload     loadtest run NAME --target URL --issuer %[1]s --issuer-key %[3]s\n",
		s.URL, identity.Audience, i.Key)
	if err == nil {
		<-ctx.Done()
	}
	if closing := s.Close(); err == nil {
		err = closing
	}
	return err
}
