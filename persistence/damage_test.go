package persistence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/presence"
)

const (
	imageTable   = 4 << 20
	imageFlushed = 6000 // users that lie in tables
	imageLogged  = 60   // and more that lie in the log
)

func imageConfig(dir string) Config {
	cfg := Config{Dir: dir, Ballast: -1}
	cfg.faults.table = imageTable
	return cfg
}

// crashedImage is a data directory as a kill leaves it: tables from before,
// and a log with the newest commits.
func crashedImage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	fill := func(from, to int) *Store {
		cfg := imageConfig(dir)
		cfg.NoSync = true
		s := openStore(t, cfg)
		answers := make(chan error, to-from)
		for n := from; n < to; n++ {
			c := commitOf(user(contoso, n), presence.Version(n+1), presence.Busy)
			c.Elements = append(c.Elements, presence.Element{
				Key: presence.NoteKey, Stamp: presence.Stamp{Version: c.Version},
				Value: presence.Note{Content: strings.Repeat(fmt.Sprint("note ", n), 50)},
			})
			s.Commit(c, func(err error) { answers <- err })
		}
		for range to - from {
			if err := <-answers; err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	closeStore(t, fill(0, imageFlushed))
	s := fill(imageFlushed, imageFlushed+imageLogged-1)
	commit(t, s, commitOf(user(contoso, imageFlushed+imageLogged-1), imageFlushed+imageLogged, presence.Busy)) // a last transaction of one
	image := copyDir(t, dir)
	closeStore(t, s)
	return image
}

func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// contents are the sums of every file under dir; a directory has none.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || d.IsDir() {
			sums[name] = ""
			return err
		}
		b, err := os.ReadFile(path)
		sums[name] = fmt.Sprintf("%d %x", len(b), crc32.Checksum(b, castagnoli))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

func same(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for name, sum := range a {
		if other, ok := b[name]; !ok || other != sum {
			return false
		}
	}
	return true
}

// imageFile finds the largest file of the pattern: the one with the data.
func imageFile(t *testing.T, dir, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s in the image: %v", pattern, err)
	}
	largest, size := "", int64(-1)
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.Size() > size {
			largest, size = name, info.Size()
		}
	}
	return largest
}

func edit(t *testing.T, name string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, change(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantRefused opens a spoiled directory: it must be refused for that reason,
// in clear words, and stay as it is to the last byte.
func wantRefused(t *testing.T, dir string, reason error) {
	t.Helper()
	before := contents(t, dir)
	s, err := Open(imageConfig(dir))
	if err == nil {
		closeStore(t, s)
		t.Fatal("opened")
	}
	var refused *RefusedError
	if !errors.As(err, &refused) || !errors.Is(err, reason) {
		t.Fatalf("refused with %v, want %v", err, reason)
	}
	if text := err.Error(); !strings.Contains(text, dir) || refused.Remedy == "" || refused.Detail == "" {
		t.Errorf("the message says too little: %s", text)
	}
	if !same(before, contents(t, dir)) {
		t.Error("the directory was changed")
	}
}

func flip(share float64) func([]byte) []byte {
	return func(b []byte) []byte {
		b[int(share*float64(len(b)-1))] ^= 0x10
		return b
	}
}

func cut(share float64) func([]byte) []byte {
	return func(b []byte) []byte { return b[:int(share*float64(len(b)))] }
}

func TestDamagedDirectoryIsRefusedAndStaysAsItIs(t *testing.T) {
	image := crashedImage(t)
	sst, mem, manifest := "badger/*.sst", "badger/*.mem", "badger/MANIFEST"
	for name, tt := range map[string]struct {
		file   string
		change func([]byte) []byte // nil: the file is removed
		want   error
	}{
		"table: first bit":                {sst, flip(0), ErrDamaged},
		"table: a bit in the middle":      {sst, flip(0.5), ErrDamaged},
		"table: a bit in the index":       {sst, flip(0.995), ErrDamaged},
		"table: last bit":                 {sst, flip(1), ErrDamaged},
		"table: cut in half":              {sst, cut(0.5), ErrDamaged},
		"table: empty":                    {sst, cut(0), ErrDamaged},
		"table: gone":                     {sst, nil, ErrDamaged},
		"log: in the header":              {mem, func(b []byte) []byte { b[3] ^= 1; return b }, ErrDamaged},
		"log: first record":               {mem, func(b []byte) []byte { b[60] ^= 1; return b }, ErrDamaged},
		"log: a record in the middle":     {mem, inLog(0.5), ErrDamaged},
		"log: last transaction's record":  {mem, lastTransaction(40), ErrDamaged},
		"log: last transaction's end":     {mem, lastTransaction(-10), ErrDamaged},
		"log: last transaction's end tag": {mem, lastTransaction(-1), ErrDamaged},
		"log: cut inside a record":        {mem, func(b []byte) []byte { return b[:logEndOf(b)/2] }, ErrDamaged},
		"log: empty":                      {mem, cut(0), ErrDamaged},
		"log: gone":                       {mem, nil, ErrDamaged},
		"manifest: magic":                 {manifest, flip(0), ErrDamaged},
		"manifest: a bit in a record":     {manifest, flip(0.5), ErrDamaged},
		"manifest: last bit":              {manifest, flip(1), ErrDamaged},
		"manifest: length of a record":    {manifest, func(b []byte) []byte { b[11] ^= 0x40; return b }, ErrDamaged},
		"manifest: loses its tail":        {manifest, cut(0.6), ErrDamaged},
		"manifest: only its head is left": {manifest, func(b []byte) []byte { return b[:8] }, ErrDamaged},
		"manifest: empty":                 {manifest, cut(0), ErrDamaged},
		"manifest: gone":                  {manifest, nil, ErrDamaged},
		"manifest: of another format": {manifest, func(b []byte) []byte {
			binary.BigEndian.PutUint16(b[4:], formatVersion+1)
			return b
		}, ErrFormat},
		"registry: a bit":             {"badger/KEYREGISTRY", flip(1), ErrDamaged},
		"identity: gone":              {"identity", nil, ErrIdentity},
		"identity: empty":             {"identity", cut(0), ErrIdentity},
		"identity: cut off":           {"identity", cut(0.7), ErrIdentity},
		"identity: of another node":   {"identity", rewritten(func(id *identity) { id.Node++ }), ErrMismatch},
		"identity: of another format": {"identity", rewritten(func(id *identity) { id.Format++ }), ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyDir(t, image)
			name := imageFile(t, dir, tt.file)
			if tt.change == nil {
				if err := os.Remove(name); err != nil {
					t.Fatal(err)
				}
			} else {
				edit(t, name, tt.change)
			}
			wantRefused(t, dir, tt.want)
		})
	}
}

// rewritten is a well-formed identity file with another content.
func rewritten(change func(*identity)) func([]byte) []byte {
	return func(b []byte) []byte {
		id, err := parseIdentity(b)
		if err != nil {
			panic(err)
		}
		change(&id)
		text, err := id.text()
		if err != nil {
			panic(err)
		}
		return text
	}
}

func logEndOf(b []byte) int {
	end, _, _ := walkLog(b, func(logRecord) {})
	return end
}

func inLog(share float64) func([]byte) []byte {
	return func(b []byte) []byte {
		b[int(share*float64(logEndOf(b)))] ^= 0x10
		return b
	}
}

// lastTransaction flips a bit so far from the start (or, negative, from the
// end) of the log's last transaction.
func lastTransaction(offset int) func([]byte) []byte {
	return func(b []byte) []byte {
		begin, end := logHeader, logEndOf(b)
		for at := logHeader; at < end; {
			r, _ := parseRecord(b[at:])
			if at += r.size; r.ends() && at < end {
				begin = at
			}
		}
		if offset < 0 {
			begin = end
		}
		b[begin+offset] ^= 0x10
		return b
	}
}

func TestEveryBitOfTheIdentityCounts(t *testing.T) {
	dir := copyDir(t, crashedImage(t))
	name := filepath.Join(dir, identityFile)
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if id, err := parseIdentity(bad); err == nil {
			t.Fatalf("with bit %d flipped it reads as %+v", bit, id)
		}
	}
	edit(t, name, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	wantRefused(t, dir, ErrIdentity)
}

// What a crash leaves behind opens, with everything that was acknowledged.
func TestCrashedDirectoryOpens(t *testing.T) {
	image := crashedImage(t)
	last := user(contoso, imageFlushed+imageLogged-1)
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, dir string)
		lost    bool // the last transaction was never acknowledged
	}{
		"as it is": {func(*testing.T, string) {}, false},
		"torn inside the last transaction": {func(t *testing.T, dir string) {
			edit(t, imageFile(t, dir, "badger/*.mem"), func(b []byte) []byte {
				clear(b[logEndOf(b)-200:])
				return b
			})
		}, true},
		"end of the last transaction missing": {func(t *testing.T, dir string) {
			edit(t, imageFile(t, dir, "badger/*.mem"), func(b []byte) []byte {
				clear(b[logEndOf(b)-20:])
				return b
			})
		}, true},
		"a finished table that is not yet in the manifest": {func(t *testing.T, dir string) {
			b, err := os.ReadFile(imageFile(t, dir, "badger/*.sst"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "badger/009999.sst"), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}, false},
		"a half written table": {func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "badger/009999.sst"), make([]byte, 5000), 0o600); err != nil {
				t.Fatal(err)
			}
		}, false},
		"a value log that was made and not sized": {func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "badger/009999.vlog"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, false},
		"a log that was made and not written": {func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "badger/99999.mem"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyDir(t, image)
			tt.prepare(t, dir)
			s, err := Open(imageConfig(dir))
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, s)
			for n := range imageFlushed + imageLogged - 1 {
				if n%97 == 0 || n >= imageFlushed {
					if got := load(t, s, user(contoso, n)); got.Version != presence.Version(n+1) {
						t.Fatalf("user %d has version %d", n, got.Version)
					}
				}
			}
			if got := load(t, s, last); got.Found == tt.lost {
				t.Errorf("the last commit is found: %t", got.Found)
			}
		})
	}
}
