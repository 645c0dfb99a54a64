package gossip

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/cluster/topology"
)

func TestConfigIsChecked(t *testing.T) {
	good := newKey(t)
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no Changed":   {func(c *Config) { c.Changed = nil }, "required"},
		"no log":       {func(c *Config) { c.Log = nil }, "required"},
		"no cluster":   {func(c *Config) { c.Cluster = "" }, "the cluster's name"},
		"no address":   {func(c *Config) { c.Self.Addr = "" }, "data port"},
		"every host":   {func(c *Config) { c.Bind = "0.0.0.0:0" }, "no address that others can reach"},
		"no key":       {func(c *Config) { c.Bind = "10.0.0.1:0" }, "gossip.keys"},
		"missing keys": {func(c *Config) { c.Keys = filepath.Join(t.TempDir(), "none") }, "no such file"},
		"bad keys":     {func(c *Config) { c.Keys = keyFile(t, "", good, "bad") }, "line 2"},
		"bad seed":     {func(c *Config) { c.Join = []string{"nowhere"} }, "the seed"},
		"foreign host": {func(c *Config) { c.Bind, c.Keys = "192.0.2.1:0", keyFile(t, "", good) }, "open the port"},
	} {
		if r, err := tryReal(0, func(given *Config, _ *tuning) { c.change(given) }); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
			if err == nil {
				r.abrupt(t)
			}
		}
	}
}

func TestAloneWithoutSeeds(t *testing.T) {
	r := startReal(t, 0, nil)
	together(t, time.Second, r)
	if err := r.Ready(); err != nil {
		t.Error(err)
	}
	r.Update(func(m *topology.Member) { m.ID, m.Zone = "other", "z9" })
	eventually(t, time.Second, "the new zone", func() bool { return r.last()[0].Zone == "z9" })
	if m := r.last()[0]; m.ID != "n00" || m.Incarnation != 1 {
		t.Errorf("it became another: %+v", m)
	}
	r.Update(func(m *topology.Member) { m.Addr = "" })
	if r.log.count("cannot be described so") != 1 || r.last()[0].Addr == "" {
		t.Error("a member without an address was taken")
	}
	if err := r.Leave(time.Second); err != nil {
		t.Error(err)
	}
	if err := errors.Join(r.Leave(time.Second), r.Close(), r.Close(), r.Leave(time.Second)); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if r.Ready() == nil {
		t.Error("ready after it has left")
	}
}

func TestSeedsThatNeverAnswer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seeds")
	r := startReal(t, 1, func(c *Config, u *tuning) {
		c.Join = []string{"127.0.2.77:9", "dns:other.test:9", "file:" + file}
		u.lookup = fakeNames
	})
	eventually(t, 5*time.Second, "a reason", func() bool { return r.Status().LastJoin != "" })
	if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "no seed") {
		t.Errorf("ready: %v", err)
	}
	if s := r.Status(); s.Joined || len(s.Seeds) != 3 || len(r.ids()) != 0 {
		t.Errorf("%+v, named %v", s, r.ids())
	}
	// The file appears, with the address of a member.
	first := startReal(t, 0, nil)
	if err := os.WriteFile(file, []byte(first.Addr()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	together(t, 15*time.Second, first, r)
	if s := r.Status(); !s.Joined || s.LastJoin != "" {
		t.Errorf("%+v", s)
	}
	if slices.ContainsFunc(r.lists, func(l []topology.Member) bool { return len(l) != 2 }) {
		t.Errorf("before it had joined it named %v", r.lists)
	}
}

func TestOwnAddressAsSeed(t *testing.T) {
	first := startReal(t, 0, nil)
	bind := first.Addr()
	first.abrupt(t)
	r := startReal(t, 0, func(c *Config, _ *tuning) { c.Bind, c.Join = bind, []string{bind} })
	together(t, 5*time.Second, r)
	if err := r.Ready(); err != nil {
		t.Error(err)
	}
}

func TestExpect(t *testing.T) {
	first := startReal(t, 0, func(c *Config, _ *tuning) { c.Expect = 2 })
	together(t, 5*time.Second, first)
	if err := first.Ready(); err == nil || !strings.Contains(err.Error(), "sees 1 members and expects 2") {
		t.Errorf("ready: %v", err)
	}
	second := startReal(t, 1, func(c *Config, _ *tuning) { c.Expect, c.Join = 2, []string{first.Addr()} })
	together(t, 5*time.Second, first, second)
	if err := errors.Join(first.Ready(), second.Ready()); err != nil {
		t.Error(err)
	}
	second.abrupt(t)
	together(t, 10*time.Second, first)
	if first.Ready() == nil {
		t.Error("ready without the other")
	}
}

// TestTwoProcessesOfAStore shows that the newer one wins, at any address.
func TestTwoProcessesOfAStore(t *testing.T) {
	all := realCluster(t, 2, nil)
	older := startReal(t, 2, func(c *Config, _ *tuning) { c.Join = []string{all[0].Addr()} })
	together(t, 10*time.Second, append(all, older)...)
	newer := startReal(t, 2, func(c *Config, _ *tuning) { c.Join, c.Self.Incarnation = []string{all[0].Addr()}, 2 })
	for _, r := range append(all, newer) {
		eventually(t, 5*time.Second, r.member.Name()+" names the newer", func() bool {
			list := r.ids()
			return len(list) == 3 && r.last()[2].Incarnation == 2
		})
	}
	eventually(t, 5*time.Second, "the older says so", func() bool { return older.log.count("level=ERROR") > 0 })
	if err := older.Ready(); err == nil || !strings.Contains(err.Error(), "newer process") {
		t.Errorf("ready: %v", err)
	}
	if len(older.ids()) != 3 || older.last()[2].Incarnation != 1 {
		t.Errorf("the older does not name itself: %v", older.last())
	}
	if err := newer.Ready(); err != nil {
		t.Error(err)
	}
	older.abrupt(t)
	together(t, time.Second, append(all, newer)...)
}

func TestKeysChangeWhileRunning(t *testing.T) {
	old, fresh := newKey(t), newKey(t)
	files := make([]string, 3)
	began := time.Now()
	number := 0
	all := realCluster(t, 3, func(c *Config, u *tuning) {
		files[number] = keyFile(t, "", old)
		c.Keys, u.rereadKeys = files[number], 50*time.Millisecond
		c.Now = func() time.Time { return began.Add(40 * time.Since(began)) } // waits for keys become short
		number++
	})
	lists := func() (n int) {
		for _, r := range all {
			r.mu.Lock()
			n += len(r.lists)
			r.mu.Unlock()
		}
		return n
	}
	before := lists()
	primary := func(key string) func() bool {
		return func() bool {
			for _, r := range all {
				if keys := r.keys.ring.GetKeys(); newKeyText(keys[0]) != key || len(keys) != 1 {
					return false
				}
			}
			return true
		}
	}
	for _, f := range files {
		keyFile(t, f, fresh, old)
	}
	for _, f := range files[1:] {
		keyFile(t, f, fresh)
	}
	if err := os.WriteFile(files[0], []byte("rubbish\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "a bad file is told", func() bool { return all[0].log.count("the keys stay") > 0 })
	keyFile(t, files[0], fresh)
	eventually(t, 10*time.Second, "the new key alone is in use", primary(fresh))
	time.Sleep(time.Second) // some probes with it
	if n := lists(); n != before {
		t.Errorf("%d new lists while the keys changed", n-before)
	}
	if n := all[0].log.count("the keys stay"); n != 1 {
		t.Errorf("the bad file was told %d times, want once", n)
	}
	var refusals float64
	for _, r := range all {
		refusals += refused(t, r, reasonKey)
	}
	if refusals > 0 {
		t.Errorf("%v messages were refused while the keys changed", refusals)
	}
	late := startReal(t, 3, func(c *Config, _ *tuning) { c.Keys, c.Join = keyFile(t, "", fresh), []string{all[0].Addr()} })
	together(t, 10*time.Second, append(all, late)...)
	stranger := startReal(t, 4, func(c *Config, _ *tuning) { c.Keys, c.Join = keyFile(t, "", old), []string{all[0].Addr()} })
	eventually(t, 5*time.Second, "the old key is refused", func() bool {
		return strings.Contains(stranger.Status().LastJoin, "gossip key")
	})
}

// TestStoppedProcess stops a member's process until the others take it for dead,
// and lets it go on.
func TestStoppedProcess(t *testing.T) {
	all := startProcesses(t, 3)
	stopped := all[1].cmd.Process
	if err := stopped.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	names(t, []*process{all[0], all[2]}, 15*time.Second, []string{"n00", "n02"})
	if err := stopped.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	last := names(t, all, 30*time.Second, ids(0, 3))
	t.Logf("a member that was stopped is seen by all %v after it goes on", last.Sub(began).Round(10*time.Millisecond))
}

func TestRosterForgets(t *testing.T) {
	now := time.Now()
	r := &roster{
		cluster: "test", now: func() time.Time { return now }, peers: map[string]*record{},
		self: Peer{Member: testMember(0, 1), State: Alive},
	}
	missing := func() (ids []string) {
		for _, p := range r.missing() {
			ids = append(ids, p.ID)
		}
		return ids
	}
	for i := range 4 {
		r.seen(testMember(i+1, 1), "127.0.0.1:1", nil)
	}
	r.lost("n01#1")
	leaver := testMember(2, 1)
	leaver.Leaving = true
	r.seen(leaver, "127.0.0.1:1", nil)
	r.lost("n02#1")
	r.lost("n03#1")
	r.seen(testMember(3, 2), "127.0.0.1:1", nil) // a new process
	if got := missing(); !slices.Equal(got, []string{"n01"}) {
		t.Errorf("missing are %v, want n01", got)
	}
	now = now.Add(forgetDead - time.Second)
	if got := missing(); !slices.Equal(got, []string{"n01"}) {
		t.Errorf("missing are %v, want n01 still", got)
	}
	now = now.Add(2 * time.Second)
	if got := r.known(); len(got) != 3 || len(missing()) != 0 {
		t.Errorf("known are %v", got)
	}
}

func TestRosterIsBounded(t *testing.T) {
	r := &roster{cluster: "test", now: time.Now, peers: map[string]*record{}, self: Peer{Member: testMember(0, 1), State: Alive}}
	full := 0
	for i := range maxMembers + 10 {
		m := testMember(1, 1)
		m.ID = fmt.Sprint("m", i)
		if r.room(m.Name()) != nil {
			full++
			continue
		}
		r.seen(m, "127.0.0.1:1", nil)
	}
	if full != 10 || len(r.peers) != maxMembers {
		t.Errorf("%d members, %d refused", len(r.peers), full)
	}
	r.lost("m0#1")
	if err := r.room("other#1"); err != nil {
		t.Errorf("the dead do not give way: %v", err)
	}
}

func TestMetricsAreUnregistered(t *testing.T) {
	registry := prometheus.NewRegistry()
	for range 2 {
		r := startReal(t, 0, func(c *Config, _ *tuning) { c.Registerer, c.Log = registry, slog.New(slog.DiscardHandler) })
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range families {
			got = append(got, f.GetName())
		}
		for _, want := range []string{"rollcall_gossip_members", "rollcall_gossip_suspects", "rollcall_gossip_refused_total"} {
			if !slices.Contains(got, want) {
				t.Errorf("%s is not among %v", want, got)
			}
		}
		r.abrupt(t)
	}
}
