package gossip

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/cluster/devca"
)

func TestKeyFiles(t *testing.T) {
	a, b := newKey(t), newKey(t)
	for name, c := range map[string]struct {
		text string
		keys int // 0: an error
	}{
		"one":             {a + "\n", 1},
		"two":             {a + "\n" + b, 2},
		"twice":           {a + "\n" + a + "\n", 1},
		"comments":        {"# first\r\n\r\n  " + a + "  \r\n", 1},
		"empty":           {"", 0},
		"comments only":   {"# none\n", 0},
		"short":           {base64.StdEncoding.EncodeToString([]byte("short")) + "\n", 0},
		"second is bad":   {a + "\nrubbish\n", 0},
		"binary":          {"\x00\xff\xfe", 0},
		"too many":        {manyKeys(t, maxKeys+1), 0},
		"as many as fits": {manyKeys(t, maxKeys), maxKeys},
		"too large":       {strings.Repeat("#\n", maxKeyFile), 0},
	} {
		list, err := parseKeys([]byte(c.text))
		if len(list) != c.keys || (err == nil) != (c.keys > 0) {
			t.Errorf("%s: %d keys, %v", name, len(list), err)
		}
		if err != nil && strings.Contains(err.Error(), a) {
			t.Errorf("%s: the error shows a key", name)
		}
	}
}

func manyKeys(t *testing.T, n int) string {
	var text strings.Builder
	for range n {
		text.WriteString(newKey(t) + "\n")
	}
	return text.String()
}

func TestKeysOfADevelopmentCA(t *testing.T) {
	dir := t.TempDir()
	err := devca.Write(devca.Request{
		Dir: dir, Cluster: "test", Nodes: []devca.Node{{Name: "a"}}, Now: time.Now(), Valid: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	k, err := openKeys(filepath.Join(dir, "a", "gossip.keys"))
	if err != nil || len(k.ring.GetKeys()) != 1 {
		t.Fatalf("%v, %v", k, err)
	}
}

func TestKeyringFollowsTheFile(t *testing.T) {
	a, b, c := newKey(t), newKey(t), newKey(t)
	path := keyFile(t, "", a)
	k, err := openKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	step := func(after time.Duration, want ...string) {
		t.Helper()
		now = now.Add(after)
		err = k.reload(now)
		var got []string
		for _, key := range k.ring.GetKeys() {
			got = append(got, base64.StdEncoding.EncodeToString(key))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("the ring has %v, want %v", got, want)
		}
	}
	step(time.Second, a)
	keyFile(t, path, b, a)
	step(time.Second, a, b) // accepted, not used
	step(keyUseAfter-time.Second, a, b)
	step(time.Second, b, a)
	if err := os.WriteFile(path, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	step(time.Minute, b, a)
	if err == nil {
		t.Error("a bad file is no error")
	}
	keyFile(t, path, c)
	step(time.Second, b, a, c)
	step(keyUseAfter, c, b, a)
	step(keyDropAfter, c)
	keyFile(t, path, c, b, a)
	step(time.Second, c, b, a)
	keyFile(t, path, c, a) // the one in the middle goes
	step(time.Second, c, b, a)
	step(keyDropAfter, c, a)
	if err != nil {
		t.Error(err)
	}
}
