package identity

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Command are users whose tokens a program of the operator's supplied.
type Command struct {
	users  []User
	tokens []held
}

// commandTime bounds the program.
const commandTime = 10 * time.Minute

// RunCommand runs a shell command, writes a line "tenant user" to it for each
// user that is needed, both GUIDs, and reads a token from it for each, a line
// each. The tokens may be of other users; the same user twice is an error.
func RunCommand(ctx context.Context, command string, n Needs) (*Command, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	var in bytes.Buffer
	for _, u := range n.made() {
		fmt.Fprintf(&in, "%s %s\n", u.Tenant, strings.TrimPrefix(u.MRI, "8:orgid:"))
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("--token-command: %w", errors.Join(err, ctx.Err()))
	}
	return readTokens(out, len(n.Tenant))
}

func readTokens(out []byte, want int) (*Command, error) {
	c := &Command{}
	seen := map[User]int{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for n := 1; lines.Scan(); n++ {
		token := strings.TrimSpace(lines.Text())
		if token == "" {
			continue
		}
		u, ends, err := claims(token)
		if err != nil {
			return nil, fmt.Errorf("--token-command, line %d of its output: %w", n, err)
		}
		if first, again := seen[u]; again {
			return nil, fmt.Errorf("--token-command, line %d of its output: a token of the same user as line %d", n, first)
		}
		seen[u] = n
		c.users = append(c.users, u)
		c.tokens = append(c.tokens, held{token, ends})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("--token-command: %w", err)
	}
	if len(c.users) < want {
		return nil, fmt.Errorf("--token-command: %w: %d tokens for %d users: print one a line for each line read, or lower --users",
			ErrFew, len(c.users), want)
	}
	c.users, c.tokens = c.users[:want], c.tokens[:want]
	return c, nil
}

// Users are those of the tokens.
func (c *Command) Users() []User { return c.users }

// Ends is when the first of the tokens ends.
func (c *Command) Ends() time.Time {
	first := c.tokens[0].ends
	for _, h := range c.tokens {
		if h.ends.Before(first) {
			first = h.ends
		}
	}
	return first
}

// Token is the one that was supplied, whatever life it has.
func (c *Command) Token(_ context.Context, user int32) (string, error) {
	return c.tokens[user].token, nil
}
