package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Program finds the node's program: the named one; else one called node beside
// this program; else it is built from this module's source, which the directory
// that we are in must belong to, into dir. say gets a line when that begins.
func Program(ctx context.Context, named, dir string, say func(string)) (string, error) {
	if named != "" {
		if _, err := os.Stat(named); err != nil {
			return "", fmt.Errorf("--node: %w", err)
		}
		return filepath.Abs(named)
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "node")
		if st, err := os.Stat(beside); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return beside, nil
		}
	}
	return build(ctx, dir, say)
}

const nodePackage = "rollcall/cmd/node"

func build(ctx context.Context, dir string, say func(string)) (string, error) {
	const advice = "name a built node with --node, or a running one with --target"
	tool, err := exec.LookPath("go")
	if err != nil {
		return "", fmt.Errorf("no node to load: there is none beside this program and no go command to build it: %s", advice)
	}
	out, err := exec.CommandContext(ctx, tool, "list", "-f", "{{.Dir}}", nodePackage).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("no node to load: there is none beside this program and this is not its source's directory: %s", advice)
	}
	say("building the node from " + strings.TrimSpace(string(out)) + ": a minute or two the first time")
	program := filepath.Join(dir, "node")
	out, err = exec.CommandContext(ctx, tool, "build", "-o", program, nodePackage).CombinedOutput()
	if err != nil {
		return "", errors.Join(fmt.Errorf("building the node: %w\n%s", err, out), ctx.Err())
	}
	return program, nil
}
