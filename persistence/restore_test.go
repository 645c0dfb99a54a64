package persistence

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/presence"
)

// restoredTo restores files into a new directory and opens it.
func restoredTo(t *testing.T, files ...string) (*Store, RestoreReport) {
	t.Helper()
	cfg := testConfig(t)
	report, err := Restore(t.Context(), RestoreConfig{Dir: cfg.Dir, Files: files, Store: Config{Ballast: -1}})
	if err != nil {
		t.Fatal(err)
	}
	return openStore(t, cfg), report
}

func note(v presence.Version, text string) presence.Element {
	return presence.Element{Key: presence.NoteKey, Stamp: presence.Stamp{Version: v, Node: 7}, Value: presence.Note{Content: text}}
}

func TestRestoreMergesTheCopiesOfAllFiles(t *testing.T) {
	a, b := openStore(t, testConfig(t)), openStore(t, testConfig(t))
	alice, bob, carol := user(contoso, 1), user(contoso, 2), user(contoso, 3)
	base := presence.Version(time.Now().UnixMilli()) << 16
	say := func(s *Store, u presence.UserID, v presence.Version, text string) {
		commit(t, s, Commit{User: u, Elements: []presence.Element{note(v, text)}, Version: v})
	}
	say(a, alice, base+1, "older")
	say(b, alice, base+2, "newer")
	say(a, bob, base+4, "newer")
	say(b, bob, base+3, "older")
	say(b, carol, base+5, "alone")
	storedPolicy(t, a, contoso, 9, time.Minute)
	storedPolicy(t, b, contoso, 8, 2*time.Minute)
	one := file(t, backedUp(t, a, BackupHead{Cluster: "berlin", Part: 1, Of: 2}), backedUp(t, b, BackupHead{Cluster: "berlin", Part: 2, Of: 2}))
	two := []string{file(t, backedUp(t, b, only)), file(t, backedUp(t, a, only))}
	for name, files := range map[string][]string{"one file of two parts": {one}, "two files, the other way round": two} {
		t.Run(name, func(t *testing.T) {
			s, report := restoredTo(t, files...)
			if report.Users != 3 || report.Policies != 1 || len(report.Parts) != 2 {
				t.Errorf("report %+v", report)
			}
			for u, want := range map[presence.UserID]string{alice: "newer", bob: "newer", carol: "alone"} {
				c := copyIn(t, s, u)
				if got := c.Elements[0].Value.(presence.Note).Content; got != want || c.Version != c.Elements[0].Stamp.Version {
					t.Errorf("%s has %q at %d, want %q", u, got, c.Version, want)
				}
			}
			if p, err := s.Policies(); err != nil || p[0].Version != 9 {
				t.Errorf("policies %+v, %v", p, err)
			}
		})
	}
}

// sample is a small backup.
func sample(t testing.TB, h BackupHead) []byte {
	t.Helper()
	s := openStore(t, testConfig(t))
	for n := range 3 {
		commit(t, s, rich(user(contoso, n), time.Now()))
	}
	storedPolicy(t, s, contoso, 3, time.Minute)
	return backedUp(t, s, h)
}

// readAll reads a backup to its end.
func readAll(content []byte) error {
	r := NewBackupReader(bytes.NewReader(content))
	for {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		for {
			rec, err := r.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if _, _, err := rec.User(); err != nil {
				return err
			}
			if _, _, err := rec.Policy(); err != nil {
				return err
			}
		}
	}
}

// isWorded says whether an error is one of those that a bad file has.
func isWorded(err error) bool {
	return errors.Is(err, ErrNoBackup) || errors.Is(err, ErrBackupFormat) || errors.Is(err, ErrBackupDamaged)
}

func TestEveryCutAndEveryFlippedBitIsNoticed(t *testing.T) {
	whole := bytes.Join([][]byte{sample(t, BackupHead{Part: 1, Of: 2}), sample(t, BackupHead{Part: 2, Of: 2})}, nil)
	if err := readAll(whole); err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if err := readAll(whole[:n]); !isWorded(err) {
			t.Fatalf("cut off after %d of %d bytes: %v", n, len(whole), err)
		}
		bad := bytes.Clone(whole)
		bad[n] ^= 1 << (n % 8)
		if err := readAll(bad); !isWorded(err) {
			t.Fatalf("byte %d of %d changed: %v", n, len(whole), err)
		}
	}
}

// forged is a part with right checksums whose records are anything.
func forged(t *testing.T, h BackupHead, records func(b *backupWriter)) []byte {
	t.Helper()
	var out bytes.Buffer
	b, err := newBackupWriter(&out, &h)
	if err != nil {
		t.Fatal(err)
	}
	records(b)
	if err := b.end(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// without leaves out one record of a part, in which nothing else is wrong.
func without(t *testing.T, part []byte, kind byte) []byte {
	t.Helper()
	for at := len(backupMagic) + 4; at < len(part); {
		end := at + recordFrame + int(binary.BigEndian.Uint32(part[at+1:])) + sumSize
		if part[at] == kind {
			return append(bytes.Clone(part[:at]), part[end:]...)
		}
		at = end
	}
	t.Fatalf("no record of kind %q", kind)
	return nil
}

func TestRestoreRefuses(t *testing.T) {
	good := sample(t, only)
	other := bytes.Clone(good)
	binary.BigEndian.PutUint32(other[len(backupMagic):], 7)
	huge := binary.BigEndian.AppendUint32(append(bytes.Clone(good[:12]), recordHead), 1<<31)
	bad := func(kind byte, payload []byte) []byte {
		return forged(t, only, func(b *backupWriter) { _ = b.record(kind, payload) })
	}
	extra, err := json.Marshal(map[string]any{"node": "1", "taken": noon, "part": 1, "of": 1, "colour": "red"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		files [][]byte
		want  error
		says  string
	}{
		"nothing":              {[][]byte{{}}, ErrNoBackup, "node backup"},
		"something else":       {[][]byte{[]byte(strings.Repeat("a picture of a cat", 100))}, ErrNoBackup, "node backup"},
		"another format":       {[][]byte{other}, ErrBackupFormat, "format 7, this version reads 1"},
		"cut off":              {[][]byte{good[:len(good)/2]}, ErrBackupDamaged, "ends in the middle"},
		"an enormous record":   {[][]byte{huge}, ErrBackupDamaged, "at most 1048576"},
		"a missing part":       {[][]byte{sample(t, BackupHead{Part: 1, Of: 2})}, ErrBackupDamaged, "ends after part 1 of 2"},
		"the second part":      {[][]byte{sample(t, BackupHead{Part: 2, Of: 2})}, ErrBackupDamaged, "part 2 of 2 follows part 0 of 0"},
		"something after it":   {[][]byte{append(bytes.Clone(good), "and more of something"...)}, ErrBackupDamaged, "no part of a backup"},
		"rubbish for a user":   {[][]byte{bad(recordUser, []byte("rubbish"))}, ErrBackupDamaged, "a user that"},
		"rubbish for a policy": {[][]byte{bad(recordRule, []byte{8})}, ErrBackupDamaged, "a policy that"},
		"a user left out":      {[][]byte{without(t, good, recordUser)}, ErrBackupDamaged, "checksum or count"},
		"no end":               {[][]byte{without(t, good, recordEnd)}, ErrBackupDamaged, "ends in the middle"},
		"an unknown record":    {[][]byte{bad('x', nil)}, ErrBackupDamaged, "unknown kind 'x'"},
		"a second head":        {[][]byte{bad(recordHead, extra)}, ErrBackupDamaged, "unknown kind 'h'"},
		"more of nobody":       {[][]byte{forged(t, only, func(b *backupWriter) { _ = b.record(recordMore, nil) })}, ErrBackupDamaged, "no user before"},
		"an unknown head":      {[][]byte{frameRecord(append([]byte(backupMagic), 0, 0, 0, 1), recordHead, extra)}, ErrBackupDamaged, "colour"},
		"two clusters":         {[][]byte{good, sample(t, BackupHead{Cluster: "paris", Part: 1, Of: 1})}, ErrBackupCluster, `"paris", not of "berlin"`},
		"the other cluster":    {[][]byte{sample(t, BackupHead{Cluster: "paris", Part: 1, Of: 1})}, ErrBackupCluster, `"paris", not of "berlin"`},
		"one of two is bad":    {[][]byte{good, good[:50]}, ErrBackupDamaged, "ends in the middle"},
	} {
		t.Run(name, func(t *testing.T) {
			var files []string
			for _, f := range tt.files {
				files = append(files, file(t, f))
			}
			dir := filepath.Join(t.TempDir(), "data")
			_, err := Restore(t.Context(), RestoreConfig{Dir: dir, Files: files, Cluster: "berlin", Store: Config{Ballast: -1}})
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), files[len(files)-1]) {
				t.Errorf("error %v, want %v with %q and the file's name", err, tt.want, tt.says)
			}
			if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the directory was made: %v", err)
			}
		})
	}
}

// A backup taken under a wrong clock is restored all the same.
func TestRestoreTakesWhatIsAheadOfTime(t *testing.T) {
	s := openStore(t, testConfig(t))
	u := user(contoso, 1)
	commit(t, s, rich(u, time.Now().Add(time.Hour)))
	restored, report := restoredTo(t, file(t, backedUp(t, s, only)))
	if report.Check.Ahead != 1 || copyIn(t, restored, u).Version == 0 {
		t.Errorf("report %+v", report)
	}
}

func TestRestoreTouchesNoDirectoryThatHoldsSomething(t *testing.T) {
	backup := file(t, sample(t, only))
	used := testConfig(t)
	closeStore(t, openStore(t, used))
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{used.Dir, foreign} {
		before := tree(t, dir)
		_, err := Restore(t.Context(), RestoreConfig{Dir: dir, Files: []string{backup}, Store: Config{Ballast: -1}})
		if !errors.Is(err, ErrNotEmpty) || !strings.Contains(err.Error(), "new directory") {
			t.Errorf("error %v", err)
		}
		if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
			t.Errorf("the directory changed:\n%s", diff)
		}
	}
	open := testConfig(t)
	s := openStore(t, open)
	if _, err := Restore(t.Context(), RestoreConfig{Dir: open.Dir, Files: []string{backup}}); !errors.Is(err, ErrLocked) {
		t.Errorf("a directory in use: %v", err)
	}
	closeStore(t, s)
}

func tree(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	files := map[string]int64{}
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			files[name] = info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestRestoreThatIsCutOffLeavesNothing(t *testing.T) {
	s := openStore(t, testConfig(t))
	var all []Commit
	for n := range 2500 {
		all = append(all, Commit{User: user(contoso, n), Elements: []presence.Element{note(5, "x")}, Version: 5})
	}
	absorbed(t, s, all...)
	backup := file(t, backedUp(t, s, only))
	for _, stage := range []string{"storing", "comparing", "checking digests"} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Restore(ctx, RestoreConfig{Dir: dir, Files: []string{backup}, Store: Config{Ballast: -1}, Progress: func(p RestoreProgress) {
			if p.Stage == stage {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cut off while %s: %v", stage, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("cut off while %s it left %v, %v", stage, left, err)
		}
	}
	// A process that was killed leaves what the next restore takes away.
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, restoreDir, badgerDir), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir, Ballast: -1}); !errors.Is(err, ErrForeign) {
		t.Errorf("half a restore opens with %v", err)
	}
	if _, err := Restore(t.Context(), RestoreConfig{Dir: dir, Files: []string{backup}, Store: Config{Ballast: -1}}); err != nil {
		t.Error(err)
	}
}

func FuzzBackupReader(f *testing.F) {
	good := sample(f, only)
	f.Add(good)
	f.Add(good[:40])
	f.Add([]byte(backupMagic))
	f.Add(append(bytes.Clone(good), good...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := readAll(b); err != nil && !isWorded(err) {
			t.Errorf("error %v", err)
		}
	})
}
