package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall/gateway"
)

// member is a process that is part of a cluster.
type member struct {
	url, admin, gossip string
	process            *exec.Cmd
	log                *journal
}

// journal is what a process logs.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// joined starts a node and reads where it is from what it says.
func joined(t *testing.T, dir, name string, args ...string) *member {
	t.Helper()
	args = append([]string{
		"serve", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--data=" + filepath.Join(dir, name), "--no-fsync",
	}, args...)
	m := &member{process: node(t, args...), log: &journal{}}
	m.process.Stderr = m.log
	out, err := m.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.end(t, syscall.SIGKILL) })
	for s := bufio.NewScanner(out); m.admin == "" && s.Scan(); {
		m.read(strings.Fields(s.Text()))
	}
	if m.url == "" || m.admin == "" || m.gossip == "" {
		t.Fatalf("%s said not where it is: %+v\n%s", name, m, m.log)
	}
	return m
}

// read takes a line of what the node says.
func (m *member) read(words []string) {
	for i, w := range words {
		switch {
		case w == "--admin":
			m.admin = words[i+1]
		case w == "--join":
			m.gossip = words[i+1]
		case m.url == "" && strings.HasPrefix(w, "http://"):
			m.url = strings.TrimSuffix(w, "/")
		}
	}
}

// end ends the process, once.
func (m *member) end(t *testing.T, by os.Signal) {
	if m.process.ProcessState != nil {
		return
	}
	_ = m.process.Process.Signal(by) // it may have ended by itself
	if err := m.process.Wait(); err != nil && by != syscall.SIGKILL {
		t.Errorf("the node ended with %v\n%s", err, m.log)
	}
}

// within waits for a condition that says what is missing.
func within(t *testing.T, m *member, missing func() string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for what := missing(); what != ""; what = missing() {
		if time.Now().After(deadline) {
			t.Fatalf("%s\n%s", what, m.log)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// request is answered by a node; status 0 where none was there.
func request(t *testing.T, method, url, token, body string, header ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }() // it is read
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(text)
}

// view is the cluster as a member sees it.
func (m *member) view(t *testing.T) *gateway.ClusterReport {
	t.Helper()
	var r gateway.ClusterReport
	status, body := request(t, http.MethodGet, m.admin+"/admin/v1/cluster", "", "")
	if err := json.Unmarshal([]byte(body), &r); status != http.StatusOK || err != nil {
		t.Fatalf("%d %s: %v\n%s", status, body, err, m.log)
	}
	return &r
}

// settled waits until the members are ready, see one another live and no other,
// have one table, and nothing is on its way between them.
func settled(t *testing.T, members ...*member) []*gateway.ClusterReport {
	t.Helper()
	views := make([]*gateway.ClusterReport, len(members))
	for i, m := range members {
		within(t, m, func() string {
			views[i] = m.view(t)
			alive := 0
			for _, other := range views[i].Members {
				if other.State == "alive" && other.Admitted {
					alive++
				}
			}
			status, ready := request(t, http.MethodGet, m.admin+"/readyz", "", "")
			first := members[0].view(t)
			if alive == len(members) && views[i].Shards.Settled && status == http.StatusOK &&
				views[i].TableHash == first.TableHash && len(first.Peers) == len(members)-1 {
				return ""
			}
			text, _ := json.Marshal(views[i])
			return ready + " " + string(text)
		})
	}
	return views
}

// tool runs the program and returns what it says.
func tool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := node(t, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", args, err, out)
	}
	return string(out)
}

const (
	aliceID  = "8:orgid:a11ce000-6c1f-4f0e-a9be-000000000001"
	busyCall = `{"source":"app","key":"test","availability":"Busy","activity":"InACall","duration":"PT1H"}`
)

// published says Busy for alice by one node and waits until another reads it.
func published(t *testing.T, by, read *member, token string) {
	t.Helper()
	within(t, by, func() string {
		if status, body := request(t, http.MethodPost, by.url+"/v1/publish", token, busyCall); status != http.StatusOK {
			return "publish: " + body
		}
		return ""
	})
	status, body := request(t, http.MethodGet, read.url+"/v1/presence?user="+aliceID, token, "")
	if status != http.StatusOK || !strings.Contains(body, `"activity":"InACall"`) {
		t.Errorf("read by the other node: %d %s\n%s", status, body, read.log)
	}
}

func TestTwoNodesAreOneCluster(t *testing.T) {
	dir := t.TempDir()
	secrets := filepath.Join(dir, "secrets")
	tool(t, "certs", "--dir", secrets, "--cluster", "berlin", "n1", "n2")
	one := joined(t, dir, "n1", "--gossip-listen=127.0.0.1:0", "--cluster=berlin", "--secrets="+secrets+"/n1", "--expect=2", "--zone=east")
	if status, body := request(t, http.MethodGet, one.url+"/readyz", "", ""); status != http.StatusServiceUnavailable || !strings.Contains(body, "expects 2") {
		t.Errorf("alone, of two expected: %d %s", status, body)
	}
	two := joined(t, dir, "n2", "--join="+one.gossip, "--cluster=berlin", "--secrets="+secrets+"/n2")
	views := settled(t, one, two)
	a, b := views[0], views[1]
	if a.TableHash != b.TableHash || a.Cluster != "berlin" || a.Self == b.Self || a.Shards.Served+b.Shards.Served != 4096 || len(a.Peers) != 1 {
		t.Errorf("two views of one cluster:\n%+v\n%+v", a, b)
	}
	for _, m := range a.Members {
		if (m.ID == a.Self) != (m.Zone == "east") || m.Protocol == 0 || m.URL == "" || m.Addr == "" || m.Incarnation == 0 || len(m.Roles) != 2 {
			t.Errorf("member %+v", m)
		}
	}
	w := watching(t, &Watch{Access: Access{Server: []string{two.url}, User: "bob"}, Users: []string{"alice"}})
	w.until("alice Offline")
	published(t, one, two, strings.TrimSpace(tool(t, "token", "--server", one.url, "--user", "alice")))
	w.until("alice Busy/InACall")
	w.stop()
	if err := <-w.done; err != nil {
		t.Error("watch ends with", err)
	}
	table := tool(t, "members", "--admin", one.admin)
	for _, want := range []string{"cluster berlin: 2 members", "* " + a.Self + " alive", b.Self + " alive", two.url} {
		if !strings.Contains(strings.Join(lines(table), "\n"), want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	if text := tool(t, "shards", "--of", "alice", "--admin", two.admin); !strings.Contains(text, aliceID+" is in shard 2390: owner n") || !strings.Contains(text, ", replicas n") {
		t.Errorf("shards says\n%s", text)
	}
	if text := tool(t, "members", "--json", "--admin", two.admin); !strings.HasPrefix(text, `{"cluster":"berlin","self":"`+b.Self) {
		t.Errorf("--json says %s", text)
	}
	if status, body := request(t, http.MethodGet, one.url+"/admin/v1/cluster", "", ""); status != http.StatusNotFound {
		t.Errorf("the cluster is shown in public: %d %s", status, body)
	}

	two.end(t, syscall.SIGTERM)
	within(t, one, func() string {
		r := one.view(t)
		if status, body := request(t, http.MethodGet, one.url+"/readyz", "", ""); status != http.StatusServiceUnavailable || r.Shards.Served != 4096 {
			text, _ := json.Marshal(r)
			return body + " " + string(text)
		}
		return ""
	})
	if log := one.log.String(); strings.Contains(log, "panic") || !strings.Contains(log, "--join "+one.gossip) {
		t.Errorf("the log:\n%s", log)
	}
}

func TestRoles(t *testing.T) {
	dir := t.TempDir()
	keeper := joined(t, dir, "keeper", "--gossip-listen=127.0.0.1:0", "--roles=presence")
	door := joined(t, dir, "door", "--join="+keeper.gossip, "--roles=gateway")
	r := settled(t, door, keeper)[0]
	for _, m := range r.Members {
		if want := map[bool]int{true: 0, false: 4096}[(m.ID == r.Self)]; m.Shards != want || len(m.Roles) != 1 || (m.URL != "") != (m.ID == r.Self) {
			t.Errorf("member %+v, want %d shards", m, want)
		}
	}
	published(t, door, door, strings.TrimSpace(tool(t, "token", "--server", door.url, "--user", "alice")))

	for path, want := range map[string]int{
		"/livez": http.StatusOK, "/readyz": http.StatusOK,
		"/": 421, "/v1/presence": 421, "/v1.0/me/presence": 421, "/dev/token?user=alice": 421, "/trouter/x": 421,
		"/admin/v1/tenants/x/policy": 421, "/admin/v1/cluster": 421, "/metrics": 421, "/nothing": 421,
	} {
		status, body := request(t, http.MethodGet, keeper.url+path, "", "")
		if status != want || want == 421 && !strings.Contains(body, `"code":"no_gateway"`) {
			t.Errorf("%s of a node that is no gateway: %d %s, want %d", path, status, body, want)
		}
	}
	status, body := request(t, http.MethodGet, keeper.url+"/v1/socket", "", "", "Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol", "rollcall.v1.json")
	if status != 421 {
		t.Errorf("a socket to a node that is no gateway: %d %s", status, body)
	}
}

func TestNodeOfAnotherClusterStaysOutside(t *testing.T) {
	dir := t.TempDir()
	one := joined(t, dir, "n1", "--gossip-listen=127.0.0.1:0")
	other := joined(t, dir, "n2", "--join="+one.gossip, "--cluster=other")
	within(t, other, func() string {
		r := other.view(t)
		if r.Gossip.LastJoin == "" {
			return "no join has failed yet"
		}
		return ""
	})
	if status, body := request(t, http.MethodGet, other.admin+"/readyz", "", ""); status != http.StatusServiceUnavailable || !strings.Contains(body, "joining") {
		t.Errorf("not in its cluster: %d %s", status, body)
	}
	if r := one.view(t); len(r.Members) != 1 || r.Shards.Served != 4096 {
		t.Errorf("the first node sees %+v", r.Members)
	}
	if text := tool(t, "members", "--admin", other.admin); !strings.Contains(text, "is not ready: ") || !strings.Contains(text, "the last join of "+one.gossip) {
		t.Errorf("members says\n%s", text)
	}
}

func TestMemberSaysWhyItDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	secrets := filepath.Join(dir, "secrets")
	tool(t, "certs", "--dir", secrets, "--cluster", "other", "n1")
	taken, err := gateway.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }() // nothing was accepted
	at := taken.Addr().String()
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"the gossip port is taken":        {[]string{"--gossip-listen=" + at}, "address already in use"},
		"the peer port is taken":          {[]string{"--gossip-listen=127.0.0.1:0", "--peer-listen=" + at}, "address already in use"},
		"the address is another's":        {[]string{"--gossip-listen=127.0.0.1:0", "--peer-listen=192.0.2.1:0", "--cluster=other", "--secrets=" + secrets + "/n1"}, "cannot assign requested address"},
		"certificates of another cluster": {[]string{"--gossip-listen=127.0.0.1:0", "--secrets=" + secrets + "/n1"}, "does not name rollcall://rollcall/node"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := node(t, append([]string{"--listen=127.0.0.1:0", "--admin-listen=", "--data=" + dir + "/data"}, tt.args...)...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), tt.says) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
