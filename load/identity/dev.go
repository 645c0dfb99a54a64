package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// demo are the logins of a development node's directory.
var demo = []string{"alice", "bob", "carol", "dave"}

// DemoUsers is how many people a development node has.
var DemoUsers = len(demo)

// Dev are the demo users of a node in development mode.
type Dev struct {
	server string
	users  []User

	mu     sync.Mutex
	tokens []held
}

type held struct {
	token string
	ends  time.Time
}

// renewBefore the end of a token another is asked for.
const renewBefore = 5 * time.Minute

// NewDev asks a development node who its users are; ErrFew when more are needed.
func NewDev(ctx context.Context, server string, n Needs) (*Dev, error) {
	if len(n.Tenant) > len(demo) {
		return nil, fmt.Errorf("%w: a development node has %d users and the scenario %d: "+
			"start the node with --issuer (see: loadtest issuer), use --token-command, or --users %d",
			ErrFew, len(demo), len(n.Tenant), len(demo))
	}
	d := &Dev{server: strings.TrimRight(server, "/"), tokens: make([]held, len(n.Tenant))}
	for u := range n.Tenant {
		token, err := d.Token(ctx, int32(u))
		if err != nil {
			return nil, err
		}
		user, _, err := claims(token)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", server, err)
		}
		d.users = append(d.users, user)
	}
	return d, nil
}

// Users are the demo users, as many as were needed.
func (d *Dev) Users() []User { return d.users }

// Token is one with some life left.
func (d *Dev) Token(ctx context.Context, user int32) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := &d.tokens[user]
	if time.Until(h.ends) > renewBefore {
		return h.token, nil
	}
	token, err := d.ask(ctx, demo[user])
	if err != nil {
		return "", err
	}
	_, ends, err := claims(token)
	if err != nil {
		return "", fmt.Errorf("%s: %w", d.server, err)
	}
	*h = held{token, ends}
	return token, nil
}

func (d *Dev) ask(ctx context.Context, login string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.server+"/dev/token",
		strings.NewReader(url.Values{"user": {login}}.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("no node answers at %s: %w", d.server, err)
	}
	defer func() { _ = res.Body.Close() }() // it was read
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return "", err
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	if json.Unmarshal(text, &answer) != nil || answer.Token == "" {
		return "", fmt.Errorf("%s gives no tokens: it is no node in development mode; "+
			"start it with --issuer (see: loadtest issuer), or use --token-command", d.server)
	}
	return answer.Token, nil
}
