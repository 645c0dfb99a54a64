package target

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWhatAMachineLacks(t *testing.T) {
	plenty := Machine{Files: 1 << 20, Available: 64 << 30, Ports: 28_000, Loopback: 250}
	big := Need{Sockets: 20_000, Pairs: 600_000, Users: 10_000, OwnNode: true, Loopback: true, Targets: 1, Sources: 2}
	for name, tt := range map[string]struct {
		change func(*Machine, *Need)
		says   []string
	}{
		"nothing":      {func(*Machine, *Need) {}, nil},
		"descriptors":  {func(m *Machine, _ *Need) { m.Files = 4096 }, []string{"need 20100, the limit is 4096", "ulimit -Hn 20100", "--users 1998"}},
		"memory":       {func(m *Machine, _ *Need) { m.Available = 1 << 30 }, []string{"1.4 GiB are needed, 1.0 GiB are available", "--users 6"}},
		"ports":        {func(m *Machine, n *Need) { m.Ports, n.Sources = 5000, 1 }, []string{"each pair has 5000", "--sources 4", "--users 2500"}},
		"remote ports": {func(m *Machine, n *Need) { m.Ports, n.Sources, n.Loopback = 5000, 1, false }, []string{"ip_local_port_range", "--target", "--users 2500"}},
		"all of it": {func(m *Machine, n *Need) { *m = Machine{Files: 100, Available: 1 << 20, Ports: 10} },
			[]string{"file descriptors", "memory", "ports"}},
		"unknown": {func(m *Machine, n *Need) { *m = Machine{} }, nil},
	} {
		m, n := plenty, big
		tt.change(&m, &n)
		got := n.Check(m)
		all := strings.Join(got, "\n")
		if (len(got) == 0) != (tt.says == nil) {
			t.Errorf("%s: %s", name, all)
		}
		for _, want := range tt.says {
			if !strings.Contains(all, want) {
				t.Errorf("%s: %s\nwant %q", name, all, want)
			}
		}
	}
	if n := meminfo("MemTotal:       24 kB\nMemAvailable:   1024 kB\n"); n != 1<<20 {
		t.Errorf("MemAvailable is %d", n)
	}
	if m := ThisMachine(); m.Loopback < 1 {
		t.Errorf("this machine: %+v", m)
	}
}

func TestScrape(t *testing.T) {
	text := "# HELP x\nprocess_cpu_seconds_total 12.5\nrollcall_deliveries_total 1e3\nrollcall_sockets{x=\"y\"} 3\n" +
		"rollcall_resends_total NaN\nrollcall_publishes_total -4\nprocess_resident_memory_bytes\n\x00\xff 7\n"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			_, _ = w.Write([]byte(text)) // the reader is the test
			return
		}
		http.NotFound(w, r)
	}))
	defer s.Close()
	got, err := Scrape(t.Context(), []string{s.URL, s.URL + "/"})
	if err != nil || got != (Sample{CPU: 25, Deliveries: 2000}) {
		t.Errorf("two nodes are %+v, %v", got, err)
	}
	for url, want := range map[string]string{s.URL + "/x": "name the node's admin listener", "http://127.0.0.1:1": "metrics:"} {
		if _, err := Scrape(t.Context(), []string{url}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
	}
	text = "nothing 1\n"
	if _, err := Scrape(t.Context(), []string{s.URL}); err == nil || !strings.Contains(err.Error(), "none of a node's") {
		t.Errorf("metrics of something else: %v", err)
	}
}

func TestPolicyIsRefusedWithTheReason(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut || r.Header.Get("Authorization") != "Bearer T" || r.URL.Path != "/admin/v1/tenants/t1/policy" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		http.Error(w, "grace is too long", http.StatusBadRequest)
	}))
	defer s.Close()
	token := func(string) (string, error) { return "T", nil }
	err := SetPolicies(t.Context(), s.URL, []string{"t1"}, Policy{}, token)
	if err == nil || !strings.Contains(err.Error(), "tenant t1") || !strings.Contains(err.Error(), "grace is too long") {
		t.Errorf("refused: %v", err)
	}
}

func TestProgramThatIsNoNode(t *testing.T) {
	dir := t.TempDir()
	_, err := Start(t.Context(), NodeConfig{Program: "/bin/false", Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "the node has ended: exit status 1") {
		t.Errorf("false as a node: %v", err)
	}
	if _, err := Start(t.Context(), NodeConfig{Program: filepath.Join(dir, "none"), Dir: dir}); err == nil || !strings.Contains(err.Error(), "starting") {
		t.Errorf("no program: %v", err)
	}
	if _, err := Program(t.Context(), filepath.Join(dir, "none"), dir, nil); err == nil || !strings.Contains(err.Error(), "--node") {
		t.Errorf("a missing program: %v", err)
	}
	t.Chdir(dir)
	if _, err := Program(t.Context(), "", dir, nil); err == nil || !strings.Contains(err.Error(), "--target") {
		t.Errorf("outside of the source: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := Ready(ctx, "http://127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "no node answers at") {
		t.Errorf("nobody there: %v", err)
	}
}
