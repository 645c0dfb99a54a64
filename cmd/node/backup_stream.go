package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// streamSilence is how long a node may say nothing in a long answer.
const streamSilence = time.Minute

// stream asks the administration for an answer of any length.
func (o *Operator) stream(ctx context.Context, path string) (io.ReadCloser, error) {
	u, err := url.Parse(o.Admin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("--admin must be as http://127.0.0.1:8081, not %q", o.Admin)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	a := &answer{cancel: cancel}
	a.silence = time.AfterFunc(streamSilence, func() {
		cancel(fmt.Errorf("%s has sent nothing for %s", o.Admin, streamSilence))
	})
	if err := a.open(ctx, o.Admin, path); err != nil {
		a.silence.Stop()
		cancel(nil)
		return nil, err
	}
	a.ctx = ctx
	return a, nil
}

// answer is a body that is cut off when the node falls silent.
type answer struct {
	ctx     context.Context // of the request whose body this is
	body    io.ReadCloser
	silence *time.Timer
	cancel  context.CancelCauseFunc
}

func (a *answer) open(ctx context.Context, admin, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(admin, "/")+path, nil)
	if err != nil {
		return fmt.Errorf("--admin: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("no node answers at %s, its --admin-listen is the address to give (%w)", admin, err)
	}
	if res.StatusCode == http.StatusOK {
		a.body = res.Body
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return errors.Join(refused(admin, path, res.StatusCode, text), err, res.Body.Close())
}

// Read is that of the body.
func (a *answer) Read(b []byte) (int, error) {
	n, err := a.body.Read(b)
	a.silence.Reset(streamSilence)
	if err != nil && !errors.Is(err, io.EOF) && a.ctx.Err() != nil {
		err = context.Cause(a.ctx)
	}
	return n, err
}

// Close ends the request.
func (a *answer) Close() error {
	a.silence.Stop()
	a.cancel(nil)
	return a.body.Close()
}
