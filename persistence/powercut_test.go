package persistence

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"rollcall/presence"
)

// mountImage mounts an ext4 image; the test is skipped where that cannot be.
func mountImage(t *testing.T, image string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a loop image here: %s", out)
	}
	return dir
}

func unmount(t *testing.T, dir string) {
	t.Helper()
	if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
		t.Errorf("umount: %s", out)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }() // only read
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// A copy of the disk under a stopped process holds what was synced and no more,
// like a disk after the power went.
func TestAcknowledgedCommitsSurvivePowerCut(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	base := t.TempDir()
	image := filepath.Join(base, "disk.img")
	if err := exec.Command("truncate", "-s", "160M", image).Run(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", image).CombinedOutput(); err != nil {
		t.Skipf("cannot make a file system here: %v %s", err, out)
	}
	disk := mountImage(t, image)
	defer unmount(t, disk)
	acked := map[crashKey][]presence.Version{}
	for round := range 4 {
		after := filepath.Join(base, "after.img")
		crashRound(t, filepath.Join(disk, "data"), crash{round: round, acked: acked, stop: func(child *os.Process) error {
			if err := child.Signal(syscall.SIGSTOP); err != nil {
				return err
			}
			copyFile(t, image, after)
			return child.Kill()
		}})
		dir := mountImage(t, after)
		checkAfterCrash(t, filepath.Join(dir, "data"), round, acked)
		unmount(t, dir)
	}
}
