package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"rollcall/gateway"
)

// Drain are the flags of node drain.
type Drain struct {
	Operator `embed:""`
	JSON     bool `name:"json" help:"The node's reports as they are, one a line."`
}

// Run drains the node and shows how far it is. It fails when the node has run out
// of time with something left.
func (d *Drain) Run(ctx context.Context) error { return d.run(ctx, os.Stdout) }

// drainSilence is how long the node may say nothing; it does every second.
const drainSilence = 15 * time.Second

func (d *Drain) run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(drainSilence, cancel)
	defer silence.Stop()
	body, err := d.start(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // nothing more is wanted of it
	var last gateway.DrainStatus
	lines := bufio.NewScanner(body)
	for !over(last) && lines.Scan() {
		silence.Reset(drainSilence)
		last = gateway.DrainStatus{}
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			return fmt.Errorf("%s did not answer with a drain: is it a node of this version? (%w)", d.Admin, err)
		}
		if err := d.show(out, last, lines.Text()); err != nil {
			return err
		}
	}
	switch {
	case last.Error != "":
		return fmt.Errorf("%s: %s", d.Admin, plain(last.Error))
	case !last.Done:
		return errors.Join(fmt.Errorf("%s went silent before the drain was over, which goes on there unless it has ended", d.Admin), lines.Err())
	}
	return nil
}

// over says whether a report is the last one.
func over(s gateway.DrainStatus) bool { return s.Done || s.Error != "" }

// start asks for the drain and returns the reports.
func (d *Drain) start(ctx context.Context) (io.ReadCloser, error) {
	const path = "/admin/v1/drain?wait"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(d.Admin, "/")+path, nil)
	if err != nil {
		return nil, fmt.Errorf("--admin must be as http://127.0.0.1:8081: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no node answers at %s, its --admin-listen is the address to give (%w)", d.Admin, err)
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return nil, errors.Join(refused(d.Admin, path, res.StatusCode, text), err, res.Body.Close())
}

// show writes a report: a line each, or in a terminal one line that changes.
func (d *Drain) show(out io.Writer, s gateway.DrainStatus, raw string) error {
	f, ok := out.(*os.File)
	screen := ok && terminal(f)
	const again, toEndOfLine = "\r", "\x1b[K"
	var text string
	switch {
	case d.JSON:
		text = raw + "\n"
	case screen && over(s):
		text = again + outcome(s) + toEndOfLine + "\n"
	case screen:
		text = again + progress(s) + toEndOfLine
	case over(s):
		text = outcome(s) + "\n"
	default:
		text = progress(s) + "\n"
	}
	_, err := io.WriteString(out, text)
	return err
}

func progress(s gateway.DrainStatus) string {
	return fmt.Sprintf("%s  shards left %d, users handed over %d, clients left %d, moved %d",
		elapsed(s), s.ShardsLeft, s.Users, s.EndpointsLeft, s.Moved)
}

// outcome is the report at the end.
func outcome(s gateway.DrainStatus) string {
	verdict := "drained"
	if !s.Done {
		verdict = "not drained"
	}
	text := fmt.Sprintf("%s after %s: %d users handed over, %d clients moved; left: %d shards, %d clients",
		verdict, elapsed(s), s.Users, s.Moved, s.ShardsLeft, s.EndpointsLeft)
	if s.Note != "" {
		text += " (" + plain(s.Note) + ")"
	}
	return text
}

func elapsed(s gateway.DrainStatus) string {
	return fmt.Sprintf("%.1f s", float64(s.ElapsedMS)/1000)
}
