package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"rollcall/gateway"
)

// Operator is how an operator's tools reach a node.
type Operator struct {
	Admin string `default:"http://127.0.0.1:8081" env:"ROLLCALL_ADMIN" help:"URL of the node's administration (--admin-listen)."`
}

const (
	adminTime = 10 * time.Second
	maxAnswer = 8 << 20
)

// ask makes a request of the administration and returns the body of the answer.
func (o *Operator) ask(ctx context.Context, method, path string) ([]byte, error) {
	u, err := url.Parse(o.Admin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("--admin must be as http://127.0.0.1:8081, not %q", o.Admin)
	}
	ctx, cancel := context.WithTimeout(ctx, adminTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(o.Admin, "/")+path, nil)
	if err != nil {
		return nil, fmt.Errorf("--admin: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no node answers at %s, its --admin-listen is the address to give (%w)", o.Admin, err)
	}
	defer func() { _ = res.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("answer of %s: %w", o.Admin, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, refused(o.Admin, path, res.StatusCode, body)
	}
	return body, nil
}

// refused words an answer that is not the one asked for.
func refused(admin, path string, status int, body []byte) error {
	var answer struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(body, &answer) != nil || answer.Error.Code == "" || answer.Error.Code == "not_found" {
		path, _, _ = strings.Cut(path, "?")
		return fmt.Errorf("%s has no %s (status %d): is it a node's --admin-listen, not its public address?", admin, path, status)
	}
	return fmt.Errorf("%s: %s: %s", admin, answer.Error.Code, plain(answer.Error.Message))
}

// Eyes are the flags of what shows the cluster.
type Eyes struct {
	Operator `embed:""`
	JSON     bool `name:"json" help:"The node's answer as it is, one line each time."`
	Watch    bool `help:"Again every second: redrawn in a terminal, elsewhere lines when they change."`

	every time.Duration // with Watch; 0: a second
}

const watchEvery = time.Second

// drawing writes a report; with the present time it shows ages, else times.
type drawing func(out io.Writer, r *gateway.ClusterReport, now time.Time)

// show draws what the node says, once or until the context ends. A node that
// has answered and does not any more may come back.
func (e *Eyes) show(ctx context.Context, out io.Writer, query string, draw drawing) error {
	f, ok := out.(*os.File)
	screen := e.Watch && !e.JSON && ok && terminal(f)
	last := ""
	tick := time.NewTicker(cmp.Or(e.every, watchEvery))
	defer tick.Stop()
	for {
		now := time.Now()
		if e.Watch && !screen {
			now = time.Time{} // what is the same shall look the same
		}
		text, err := e.render(ctx, query, draw, now)
		if ctx.Err() != nil {
			return nil // interrupted
		}
		if err != nil {
			if !e.Watch || last == "" {
				return err
			}
			text = err.Error() + "\n"
		}
		if err := redraw(out, text, &last, screen); err != nil || !e.Watch {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (e *Eyes) render(ctx context.Context, query string, draw drawing, now time.Time) (string, error) {
	body, err := e.ask(ctx, http.MethodGet, "/admin/v1/cluster"+query)
	if err != nil {
		return "", err
	}
	if e.JSON {
		return string(bytes.TrimSpace(body)) + "\n", nil
	}
	var r gateway.ClusterReport
	if err := json.Unmarshal(body, &r); err != nil || r.Self == "" {
		return "", errors.Join(fmt.Errorf("%s did not answer with a cluster: is it a node of this version?", e.Admin), err)
	}
	var b strings.Builder
	draw(&b, &r, now)
	return b.String(), nil
}

// redraw writes over what is on the screen, or, where there is none, writes what
// is not what it was.
func redraw(out io.Writer, text string, last *string, screen bool) error {
	same := text == *last
	*last = text
	switch {
	case screen:
		const home, toEndOfLine, toEnd = "\x1b[H", "\x1b[K", "\x1b[J"
		clear := home + strings.ReplaceAll(text, "\n", toEndOfLine+"\n") + toEnd
		_, err := io.WriteString(out, clear)
		return err
	case same:
		return nil
	}
	_, err := io.WriteString(out, text)
	return err
}
