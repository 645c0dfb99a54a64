package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func fakeNames(_ context.Context, name string) ([]netip.Addr, error) {
	if name == "nodes.test" {
		return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::ffff:10.0.0.2")}, nil
	}
	return nil, errors.New("no such host")
}

func TestSeeds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seeds")
	text := "# ours\n10.0.0.7:1\n\ndns:nodes.test:2 # by name\nrubbish\nfile:/etc/passwd\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]string{
		"10.0.0.1:7946":      "10.0.0.1:7946",
		"[::1]:7946":         "[::1]:7946",
		"nodes.test:5":       "10.0.0.1:5 10.0.0.2:5",
		"dns:nodes.test:5":   "10.0.0.1:5 10.0.0.2:5",
		"dns:other.test:5":   "error",
		"file:" + file:       "10.0.0.7:1 10.0.0.1:2 10.0.0.2:2 error",
		"file:" + file + "x": "error",
	} {
		s0, err := parseSeed(s)
		if err != nil {
			t.Fatal(err)
		}
		addrs, err := resolver(fakeNames).resolve(t.Context(), []seed{s0})
		var got []string
		for _, a := range addrs {
			got = append(got, a.String())
		}
		if err != nil {
			got = append(got, "error")
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v (%v), want %s", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "host", "host:", "host:0", "host:65536", "host:http", ":1", "dns:host", "dns::1", "file:", "a b:1", "0.0.0.0:1",
		"224.0.0.1:1", strings.Repeat("a", 300) + ":1",
	} {
		if seed, err := parseSeed(s); err == nil {
			t.Errorf("%q became %+v", s, seed)
		}
	}
}

func TestSeedFilesAreBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seeds")
	var text strings.Builder
	for i := range 2 * maxSeeds {
		fmt.Fprintf(&text, "10.0.%d.%d:1\n", i/256, i%256)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := readSeeds(file); err != nil || len(list) != maxSeeds {
		t.Errorf("%d seeds, %v", len(list), err)
	}
	if err := os.WriteFile(file, make([]byte, maxSeedFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := readSeeds(file); err == nil {
		t.Errorf("%d seeds of a file that is too large", len(list))
	}
}

func TestBind(t *testing.T) {
	for _, c := range []struct {
		bind      string
		encrypted bool
		want      string // part of the error
	}{
		{"127.0.0.1:0", false, ""},
		{"[::1]:7946", false, ""},
		{"10.0.0.1:7946", true, ""},
		{"nodes.test:7946", true, ""},
		{"10.0.0.1:7946", false, "a key file is required"},
		{"nodes.test:7946", false, "a key file is required"},
		{"0.0.0.0:7946", true, "no address that others can reach"},
		{"[::]:7946", true, "no address that others can reach"},
		{":7946", true, "no address that others can reach"},
		{"224.0.0.1:7946", true, "no address that others can reach"},
		{"10.0.0.1", true, "not host:port"},
		{"10.0.0.1:x", true, "port"},
		{"other.test:1", true, "no such host"},
	} {
		_, err := bindTo(c.bind, c.encrypted, fakeNames)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.bind, err, c.want)
		}
	}
}

func TestSomeSeedsOfMany(t *testing.T) {
	var addrs []netip.AddrPort
	for i := range 100 {
		addrs = append(addrs, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 1))
	}
	got := some(rand.New(rand.NewPCG(1, 1)), slices.Clone(addrs))
	if len(got) != sought || slices.Equal(got, addrs[:sought]) {
		t.Errorf("got %v", got)
	}
}
