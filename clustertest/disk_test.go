package clustertest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const killSignal = syscall.SIGKILL

// mount gives a node that has no data yet a disk of its own, of so many MiB.
func (c *cluster) mount(name string, size int) error {
	dir := filepath.Join(c.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	options := fmt.Sprintf("size=%dm,mode=0700", size)
	if err := unix.Mount(c.net.name+"-"+name, dir, "tmpfs", 0, options); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	c.disks = append(c.disks, dir)
	return nil
}

func (c *cluster) unmount() error {
	var errs []error
	for _, dir := range c.disks {
		errs = append(errs, unix.Unmount(dir, unix.MNT_DETACH))
	}
	c.disks = nil
	return errors.Join(errs...)
}

// mountable is empty if disks can be mounted, else why not.
func mountable(dir string) string {
	err := unix.Mount("rc-try", dir, "tmpfs", 0, "size=1m")
	if err == nil {
		err = unix.Unmount(dir, 0)
	}
	if err != nil {
		return "no disk can be mounted: " + err.Error()
	}
	return ""
}

// removeMounts takes away the disks of runs that are not there any more.
func removeMounts() {
	text, _ := os.ReadFile("/proc/mounts") // none: nothing to take away
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 2 && f[2] == "tmpfs" && abandoned(f[0]) {
			_ = unix.Unmount(f[1], unix.MNT_DETACH) // another run may do the same
		}
	}
}

const filler = "filler" // beside the store's own files, as a log that has grown

// fill leaves so many MiB free on a node's disk.
func (n *node) fill(leave int) error {
	free, err := n.room()
	if err != nil {
		return err
	}
	size := free - int64(leave)<<20
	if size <= 0 {
		return fmt.Errorf("%d MiB are free on the disk of %s, fewer than %d", free>>20, n.name, leave)
	}
	f, err := os.OpenFile(filepath.Join(n.data, filler), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(unix.Fallocate(int(f.Fd()), 0, 0, size), f.Close())
}

func (n *node) room() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(n.data, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

func (n *node) free() error { return os.Remove(filepath.Join(n.data, filler)) }

// wipe deletes all that a stopped node has stored.
func (n *node) wipe() error {
	if n.alive() {
		return fmt.Errorf("%s runs: stop or kill it before its data is deleted", n.name)
	}
	entries, err := os.ReadDir(n.data)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(n.data, e.Name())))
	}
	return err
}

// corrupt damages the files of a stopped node.
func (n *node) corrupt(how string) error {
	if n.alive() {
		return fmt.Errorf("%s runs: stop or kill it before its data is damaged", n.name)
	}
	name := filepath.Join(n.data, "badger", "MANIFEST")
	if how == "manifest" {
		return os.Remove(name)
	}
	name, text, err := n.largest()
	if err != nil {
		return err
	}
	middle := used(text) / 2
	switch how {
	case "bit":
		text[middle] ^= 0x10
	case "truncate":
		text = text[:middle]
	}
	return os.WriteFile(name, text, 0o600)
}

// largest is the file with the most data: a table, or the log before there is one.
func (n *node) largest() (name string, text []byte, err error) {
	for _, pattern := range []string{"*.sst", "*.mem"} {
		names, _ := filepath.Glob(filepath.Join(n.data, "badger", pattern)) // the pattern is good
		for _, file := range names {
			b, err := os.ReadFile(file)
			if err != nil {
				return "", nil, err
			}
			if used(b) > used(text) {
				name, text = file, b
			}
		}
		if used(text) > 0 {
			return name, text, nil
		}
	}
	return "", nil, fmt.Errorf("%s has stored nothing that could be damaged", n.name)
}

// used is the size without the zeros that a log ends with.
func used(b []byte) int { return len(bytes.TrimRight(b, "\x00")) }

// refuses starts a node that must not run on what it has, and say what to do.
func (n *node) refuses(program string) error {
	before := len(n.text())
	if err := n.start(program); err != nil {
		return err
	}
	select {
	case <-n.end:
	case <-time.After(10 * time.Second):
		return errors.Join(fmt.Errorf("%s has started on damaged data", n.name), n.kill())
	}
	said := n.text()[before:]
	switch {
	case n.err == nil:
		return fmt.Errorf("%s has ended with success", n.name)
	case !bytes.Contains(said, []byte("--reset-data")):
		return fmt.Errorf("%s does not say that --reset-data helps: %s", n.name, said)
	}
	return nil
}

func (n *node) text() []byte {
	text, _ := os.ReadFile(n.log) // none: nothing was said
	return text
}

// traceable is empty if system calls can be made to fail, else why not.
func traceable() string {
	if _, err := exec.LookPath("strace"); err != nil {
		return "there is no program strace (Debian: strace)"
	}
	out, err := exec.Command("strace", "-f", "-e", "inject=fsync:error=EIO", "true").CombinedOutput()
	if err != nil {
		return fmt.Sprintf("strace does not work here: %v: %s", err, out)
	}
	return ""
}

// breakDisk makes every write to the disk that is to last fail, and tells how
// long the node went on.
func (n *node) breakDisk(most time.Duration) (time.Duration, error) {
	calls := "fsync,fdatasync,msync,sync_file_range"
	trace := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-p", fmt.Sprint(n.cmd.Process.Pid),
		"-e", "trace="+calls, "-e", "inject="+calls+":error=EIO")
	trace.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	trace.Stderr = &said
	began := time.Now()
	if err := n.host.within(n.end, trace.Start); err != nil {
		return 0, err
	}
	var err error
	select {
	case <-n.end:
		err = n.fate()
	case <-time.After(most):
		err = fmt.Errorf("%s goes on although its disk fails: %s", n.name, said.String())
		_ = trace.Process.Kill() // it may have ended just now
	}
	took := time.Since(began)
	_ = trace.Wait() // it ends with the node, in any way
	return took, err
}

// fate is what is wrong with how a node ended whose disk has failed.
func (n *node) fate() error {
	if n.err == nil {
		return fmt.Errorf("%s has ended with success", n.name)
	}
	var exit *exec.ExitError
	if !errors.As(n.err, &exit) || exit.ExitCode() != 1 {
		return fmt.Errorf("%s has not ended with exit status 1: %w", n.name, n.err)
	}
	if tail := n.tail(3000); !strings.Contains(tail, "input/output error") {
		return fmt.Errorf("%s does not say that its disk has failed: %s", n.name, tail)
	}
	return nil
}
