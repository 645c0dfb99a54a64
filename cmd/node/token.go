package main

import (
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
)

// Token are the flags of node token.
type Token struct {
	Server string `default:"http://127.0.0.1:8080" help:"URL of a node in development mode."`
	User   string `help:"Demo user: alice, bob, carol or dave." xor:"who" required:""`
	App    bool   `help:"Instead of a user the demo application, with all its permissions." xor:"who" required:""`
	Tenant string `help:"With --app: the tenant, by default that of alice."`
}

// Run prints the token and nothing else.
func (t *Token) Run(ctx context.Context) error {
	token, err := t.fetch(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(os.Stdout, token)
	return err
}

func (t *Token) fetch(ctx context.Context) (string, error) {
	form := url.Values{}
	if t.App {
		form.Set("app", "1")
		if t.Tenant != "" {
			form.Set("tenant", t.Tenant)
		}
	} else {
		form.Set("user", t.User)
	}
	token, _, err := devToken(ctx, t.Server, form)
	return token, err
}

// devToken asks a node's development issuer for a token, which lives for life.
func devToken(ctx context.Context, server string, form url.Values) (token string, life time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(server, "/")+"/dev/token",
		strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, fmt.Errorf("--server: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", 0, fmt.Errorf("no node answers at %s, start one with: node (%w)", server, err)
	}
	defer func() { _ = res.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return "", 0, fmt.Errorf("answer of %s: %w", server, err)
	}
	var answer struct {
		Token   string `json:"access_token"`
		Seconds int    `json:"expires_in"`
		Reason  string `json:"error_description"`
	}
	if json.Unmarshal(body, &answer) != nil || res.StatusCode == http.StatusNotFound {
		return "", 0, fmt.Errorf("%s gives no tokens: it is no node in development mode", server)
	}
	if answer.Token == "" {
		return "", 0, errors.New(answer.Reason)
	}
	return answer.Token, time.Duration(answer.Seconds) * time.Second, nil
}
