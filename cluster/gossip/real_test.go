package gossip

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// real is a member with UDP and TCP ports on the loopback network.
type real struct {
	node
	log *journal
}

// journal is a log that can be read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(b)
}

func (j *journal) count(part string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.b.String(), part)
}

// startReal starts a member at 127.0.2.(number+1), on a free port.
func startReal(t testing.TB, number int, change func(*Config, *tuning)) *real {
	t.Helper()
	r, err := tryReal(number, change)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func tryReal(number int, change func(*Config, *tuning)) (*real, error) {
	r := &real{log: &journal{}}
	r.member = testMember(number, 1)
	c := Config{
		Self: r.member, Cluster: "test", Bind: fmt.Sprintf("127.0.2.%d:0", number+1),
		Log: slog.New(slog.NewTextHandler(r.log, nil)), Registerer: prometheus.NewRegistry(), Now: time.Now,
		Changed: r.changed,
	}
	quick := tuned
	if change != nil {
		change(&c, &quick)
	}
	g, err := start(c, quick)
	if err != nil {
		return nil, err
	}
	r.member, r.Gossip = c.Self, g
	return r, nil
}

func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// together waits until every one of these members names all of them.
func together(t testing.TB, within time.Duration, all ...*real) {
	t.Helper()
	var want []string
	for _, r := range all {
		want = append(want, r.member.ID)
	}
	slices.Sort(want)
	for _, r := range all {
		eventually(t, within, fmt.Sprintf("%s names %v", r.member.ID, want), func() bool { return slices.Equal(r.ids(), want) })
	}
}

// realCluster starts members of which all but the first join the first.
func realCluster(t testing.TB, members int, change func(*Config, *tuning)) []*real {
	t.Helper()
	var all []*real
	for i := range members {
		all = append(all, startReal(t, i, func(c *Config, u *tuning) {
			if i > 0 {
				c.Join = []string{all[0].Addr()}
			}
			if change != nil {
				change(c, u)
			}
		}))
	}
	together(t, 10*time.Second, all...)
	return all
}

func newKey(t testing.TB) string {
	t.Helper()
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}

// keyFile writes a key file, as a whole, and returns its path.
func keyFile(t testing.TB, path string, keys ...string) string {
	t.Helper()
	if path == "" {
		path = filepath.Join(t.TempDir(), "gossip.keys")
	}
	fresh := path + ".new"
	if err := os.WriteFile(fresh, []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// abrupt ends a member as a kill -9 does: its ports are gone and nobody is told.
func (r *real) abrupt(t testing.TB) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func counted(t testing.TB, c prometheus.Metric) float64 {
	t.Helper()
	n, err := value(c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func value(c prometheus.Metric) (float64, error) {
	var m dto.Metric
	err := c.Write(&m)
	return m.GetCounter().GetValue(), err
}

func refused(t testing.TB, r *real, reason string) float64 {
	t.Helper()
	return counted(t, r.metrics.refusals.WithLabelValues(reason))
}

func newKeyText(key []byte) string { return base64.StdEncoding.EncodeToString(key) }
