package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"rollcall/gateway"
	"rollcall/persistence"
)

// Check are the flags of node check.
type Check struct {
	Admin []string `default:"http://127.0.0.1:8081" env:"ROLLCALL_ADMIN" help:"URL of a running node's administration (--admin-listen). Repeat it for every node of a cluster: what they have is then compared."`
	Quick bool     `help:"With --admin: compare digests only, do not have the nodes read their stores."`
	Data  string   `placeholder:"DIR" help:"Instead: the data directory of a node that is stopped."`
	JSON  bool     `name:"json" help:"The findings in JSON."`

	every time.Duration // between two rounds; 0: compareEvery
}

// errWrong is the outcome of a check with findings, which were shown.
var errWrong = errors.New("the check has found something wrong")

// Findings are the outcome of node check.
type Findings struct {
	Stores  []StoreFindings `json:"stores,omitempty"`
	Compare *Comparison     `json:"compare,omitempty"`
	Wrong   bool            `json:"wrong"`
}

// StoreFindings are what is in one store.
type StoreFindings struct {
	Of     string                  `json:"of"` // a directory or a member's id
	Report persistence.CheckReport `json:"report"`
}

// Run checks and shows what was found; it fails when something is wrong.
func (c *Check) Run(ctx context.Context) error { return c.run(ctx, os.Stdout, os.Stderr) }

func (c *Check) run(ctx context.Context, stdout, stderr io.Writer) error {
	m := newMeter(stderr)
	var f Findings
	var err error
	if c.Data != "" {
		err = c.stopped(ctx, &f, m)
	} else {
		err = c.running(ctx, &f, m)
	}
	if err != nil {
		return err
	}
	for i := range f.Stores {
		f.Wrong = f.Wrong || f.Stores[i].Report.Wrong()
	}
	f.Wrong = f.Wrong || f.Compare != nil && f.Compare.wrong()
	if err := c.show(stdout, &f); err != nil {
		return err
	}
	if f.Wrong {
		return errWrong
	}
	return nil
}

func (c *Check) show(out io.Writer, f *Findings) error {
	text := f.text()
	if c.JSON {
		b, err := json.Marshal(f)
		if err != nil {
			return err
		}
		text = string(b) + "\n"
	}
	_, err := io.WriteString(out, text)
	return err
}

// stopped opens the store as the node would.
func (c *Check) stopped(ctx context.Context, f *Findings, m *meter) error {
	s, err := persistence.OpenExisting(persistence.Config{Dir: c.Data, Ballast: -1, Fatal: func(error) {}})
	if err != nil {
		return err
	}
	report, err := s.Check(ctx, persistence.CheckConfig{Progress: func(users int) {
		m.show("%d users read, %s", users, m.since())
	}})
	f.Stores = []StoreFindings{{c.Data, report}}
	return errors.Join(err, s.Close())
}

// running has every node read its store, then compares what they say.
func (c *Check) running(ctx context.Context, f *Findings, m *meter) error {
	sources, err := meet(ctx, c.Admin)
	if err != nil {
		return err
	}
	if missing := absent(sources); len(missing) > 0 {
		m.say("not asked: %s; what they have is not compared", plain(strings.Join(missing, ", ")))
	}
	for i := range sources {
		if c.Quick {
			break
		}
		report, err := sources[i].check(ctx, m)
		if err != nil {
			return err
		}
		f.Stores = append(f.Stores, StoreFindings{sources[i].report.Self, report})
	}
	f.Compare, err = c.compare(ctx, sources, m)
	return err
}

// maxLine bounds what a node says at once.
const maxLine = 1 << 20

// check has a node read its store.
func (s *source) check(ctx context.Context, m *meter) (report persistence.CheckReport, err error) {
	body, err := s.stream(ctx, "/admin/v1/check")
	if err != nil {
		return report, err
	}
	defer func() { _ = body.Close() }() // it was read
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var l gateway.CheckLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return report, fmt.Errorf("%s did not answer with a check: is it a node of this version? (%w)", s.Operator.Admin, err)
		}
		switch {
		case l.Error != "":
			return report, fmt.Errorf("%s: %s", s.Operator.Admin, plain(l.Error))
		case l.Report != nil:
			return *l.Report, nil
		}
		m.show("%s: %d users read, %s", plain(s.report.Self), l.Users, m.since())
	}
	return report, errors.Join(fmt.Errorf("%s went silent before its check was over", s.Operator.Admin), lines.Err())
}
