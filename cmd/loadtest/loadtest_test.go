package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"go.uber.org/goleak"

	"rollcall/load/identity"
	"rollcall/load/report"
	"rollcall/load/target"
)

// asProgram makes the test's own binary the program.
const asProgram = "ROLLCALL_TEST_AS_PROGRAM"

func init() {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
}

var nodeDir = filepath.Join(os.TempDir(), fmt.Sprintf("rollcall-loadtest-node-%d", os.Getpid()))

// nodeProgram builds the node that is loaded, once.
var nodeProgram = sync.OnceValues(func() (string, error) {
	if err := os.MkdirAll(nodeDir, 0o700); err != nil {
		return "", err
	}
	return target.Program(context.Background(), "", nodeDir, func(string) {})
})

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(nodeDir) // a temporary one
		os.Exit(code)
	}),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),  // of http.DefaultClient,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop")) // kept for the next request
}

func builtNode(t *testing.T) string {
	t.Helper()
	program, err := nodeProgram()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// loadtest runs a command line in this process and gives what it wrote.
func loadtest(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var c commands
	k, err := kong.New(&c, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := k.Parse(args)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.BindTo(&out, (*io.Writer)(nil))
	err = parsed.Run()
	return out.String(), err
}

const tiny = `
name: tiny
about: thirty people for three seconds, of whom some flicker
duration: 3s
settle: 10s
population: {users: 30, tenants: 2, foreign: 0.1, team: 4, mobile: 0.5, contacts: {median: 8, sigma: 0.5, most: 20}, hot: {users: 1, watchers: 20}}
connect: {over: 200ms}
activity: {kind: rate, rate: 10, pause: 2s, hot_every: 1s}
storms: [{at: 1s, share: 1, away: 200ms, spread: 300ms}]
flicker: {share: 1, every: 2s, away: 200ms}
objectives:
  - lost == 0
  - reordered == 0
  - duplicated == 0
  - denied == 0
  - unanswered == 0
  - unsent == 0
  - snapshots == 0
  - resumes > 20
  - delivered > 50
  - received.p99 < 30s
  - acked.p99 < 30s
  - server.memory < 4GiB
`

func scenarioFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "my.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestOwnNode(t *testing.T) {
	base := filepath.Join(t.TempDir(), "out-{scenario}")
	out, err := loadtest(t, "run", scenarioFile(t, tiny), "--node", builtNode(t), "--report", base, "--seed", "5", "--no-fsync")
	t.Log(out)
	if err != nil {
		t.Fatal(err)
	}
	o, err := report.Read(strings.ReplaceAll(base, "{scenario}", "tiny") + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if !o.Passed || o.Seed != 5 || !o.Environment.OwnNode || o.Population.Users != 30 || len(o.Series) < 4 || o.Source != tiny {
		t.Errorf("outcome %+v", o)
	}
	// What the load tester counts is what the node counts, save what the clients
	// were sent before the load began or after it ended.
	if o.Values["received.p50"] <= 0 || o.Values["server.cpu_per_delivery"] <= 0 || o.Values["ready.max"] <= 0 {
		t.Errorf("values %v", o.Values)
	}
	page, err := os.ReadFile(strings.ReplaceAll(base, "{scenario}", "tiny") + ".html")
	if err != nil || !bytes.Contains(page, []byte("12 of 12 objectives hold")) {
		t.Errorf("page of %d bytes: %v", len(page), err)
	}
	text, err := loadtest(t, "compare", strings.ReplaceAll(base, "{scenario}", "tiny")+".json", strings.ReplaceAll(base, "{scenario}", "tiny")+".json")
	if err != nil || !strings.Contains(text, "received.p99") {
		t.Errorf("compare: %v\n%s", err, text)
	}
}

// A node that somebody else runs, with each way to tokens; and an objective that
// cannot hold.
func TestTarget(t *testing.T) {
	file := scenarioFile(t, strings.Split(tiny, "storms:")[0]+"objectives: [lost == 0, received.max < 1us]\n")
	keyFile := filepath.Join(t.TempDir(), "key")
	issuer, err := identity.LoadKey(keyFile, true)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := identity.ServeKey("127.0.0.1:0", issuer)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := keys.Close(); err != nil {
			t.Error(err)
		}
	}()
	n, err := target.Start(t.Context(), target.NodeConfig{
		Program: builtNode(t), Dir: t.TempDir(), Issuer: keys.URL, Audience: identity.Audience, Sockets: 1000, NoFsync: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	}()
	out, err := loadtest(t, "run", file, "--target", n.URL, "--issuer", keys.URL, "--issuer-key", keyFile, "--report=", "--duration", "1s")
	if !errors.Is(err, errFailed) || !strings.Contains(out, "✗ received.max < 1us") || !strings.Contains(out, "✓ lost == 0") {
		t.Errorf("with the issuer: %v\n%s", err, out)
	}
	if _, err = loadtest(t, "run", file, "--target", n.URL); err == nil || !strings.Contains(err.Error(), "--users 4") {
		t.Errorf("as a development node: %v", err)
	}
	if _, err = loadtest(t, "run", file, "--target", n.URL, "--admin", n.URL, "--users", "4"); err == nil || !strings.Contains(err.Error(), "--admin") {
		t.Errorf("wrong admin: %v", err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	bad := scenarioFile(t, "name: x\nusers: 3\n")
	for args, want := range map[string]string{
		"run nothing":                           "there are smoke, steady",
		"run " + bad:                            "my.yaml:2: users: unknown field",
		"run none.yaml":                         "none.yaml",
		"run steady --users 1":                  "at least 2 people",
		"smoke --duration 1s --users 1000000":   "cannot hold",
		"show nothing":                          "there are smoke",
		"run smoke --target 127.0.0.1:1":        "no address of a node",
		"run smoke --target http://127.0.0.1:1": "no node answers",
		"run smoke --node /nonexistent":         "--node",
		"compare loadtest_test.go main.go":      "not the JSON of a load test",
		"compare none.json none.json":           "none.json",
	} {
		_, err := loadtest(t, strings.Fields(args)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

func TestListAndShow(t *testing.T) {
	out, err := loadtest(t, "list")
	if err != nil || strings.Count(out, "\n") != 9 || !strings.Contains(out, "login-storm       30s  3,000 people") {
		t.Errorf("list: %v\n%s", err, out)
	}
	out, err = loadtest(t, "show", "smoke")
	if err != nil || !strings.Contains(out, "name: smoke") {
		t.Errorf("show: %v\n%s", err, out)
	}
}

// As a process: an interrupt still reports, and the exit code says how it was.
func TestExitCodes(t *testing.T) {
	run := func(args ...string) *exec.Cmd {
		c := exec.CommandContext(t.Context(), os.Args[0], args...)
		c.Env = append(os.Environ(), asProgram+"=1")
		c.Dir = t.TempDir()
		return c
	}
	code := func(err error) int {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		return 0
	}
	file := scenarioFile(t, strings.Replace(tiny, "duration: 3s", "duration: 60s", 1))
	c := run("run", file, "--node", builtNode(t), "--no-fsync", "--plain")
	var out, problems bytes.Buffer
	c.Stderr = &problems
	pipe, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	told := false
	buf := make([]byte, 4096)
	for {
		n, err := pipe.Read(buf)
		out.Write(buf[:n])
		if !told && strings.Contains(out.String(), "load        0:0") {
			told = true
			if err := c.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil {
			break
		}
	}
	if got := code(c.Wait()); got != exitError || !strings.Contains(out.String(), "published") || !strings.Contains(out.String(), "tiny.json") {
		t.Errorf("interrupted: exit code %d\n%s%s", got, &out, &problems)
	}
	if err := run("run", "nothing").Run(); code(err) != exitError {
		t.Errorf("no such scenario: %v", err)
	}
	if err := run("list").Run(); err != nil {
		t.Errorf("list: %v", err)
	}
}

// A node that dies ends the test, with the reason and what was seen until then.
func TestANodeThatDies(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "node")
	text := "#!/bin/sh\n" + builtNode(t) + " \"$@\" &\nsleep 3; kill -9 $!; exit 7\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil { //nolint:gosec // a program is executable
		t.Fatal(err)
	}
	file := scenarioFile(t, strings.Replace(tiny, "duration: 3s", "duration: 60s", 1))
	began := time.Now()
	out, err := loadtest(t, "run", file, "--node", script, "--data", filepath.Join(dir, "data"), "--report=", "--plain")
	if err == nil || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(err.Error(), "node.log") {
		t.Errorf("ended with %v", err)
	}
	if !strings.Contains(out, "✗ lost == 0") || time.Since(began) > 40*time.Second {
		t.Errorf("after %s:\n%s", time.Since(began), out)
	}
}
