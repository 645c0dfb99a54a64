package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"rollcall/messages"
	"rollcall/presence"
)

// Post publishes once without a connection, which is how applications publish,
// with For, and how a script does. Of the Config only Server, Servers, Token and
// HTTP count. A Device lives with its connection and cannot be posted.
//
// Where one address cannot be reached, or its node goes away, the next is tried.
// Otherwise it does not try again: an *Error with RetryAfter says when to.
func Post(ctx context.Context, cfg Config, s Source) (presence.Version, error) {
	to, err := cfg.complete()
	if err != nil {
		return 0, err
	}
	token, err := cfg.Token(ctx)
	if err != nil {
		return 0, fmt.Errorf("get a token: %w", err)
	}
	var v presence.Version
	for i := range to.all {
		if v, err = cfg.post(ctx, &to.all[i], token, s); err == nil || !perhapsElsewhere(err) || ctx.Err() != nil {
			break
		}
	}
	return v, err
}

// perhapsElsewhere says whether another node may do what one has not.
func perhapsElsewhere(err error) bool {
	var e *Error
	return !errors.As(err, &e) && !errors.Is(err, ErrProtocol) || errors.Is(err, messages.ErrClosing)
}

func (cfg *Config) post(ctx context.Context, to *gateway, token string, s Source) (presence.Version, error) {
	req, err := postRequest(ctx, to.stream, s.frame())
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	h := cfg.HTTP
	if h == nil {
		h = http.DefaultClient
	}
	resp, err := h.Do(req)
	if err != nil {
		return 0, unreached(to.server, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("publish %s: %w", s.frame().Source, refused(resp))
	}
	var done struct {
		Version string `json:"version"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, maxFrame)).Decode(&done); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	v, err := version(done.Version)
	return presence.Version(v), err
}

func postRequest(ctx context.Context, stream string, p *messages.SourcePublish) (*http.Request, error) {
	body, err := json.Marshal(sourceJSON(p))
	if err != nil {
		return nil, err
	}
	address := "http" + strings.TrimPrefix(strings.TrimPrefix(stream, "http"), "ws")
	address = strings.TrimSuffix(address, "stream") + "publish"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err == nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, err
}
