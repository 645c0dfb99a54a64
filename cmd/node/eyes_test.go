package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall/cluster/peers"
	"rollcall/gateway"
)

func report() *gateway.ClusterReport {
	at := func(ago time.Duration) uint64 { return uint64(noon.Add(-ago).UnixMilli()) }
	both := []string{"gateway", "presence"}
	return &gateway.ClusterReport{
		Cluster: "berlin", Self: "n1", Epoch: 7, TableHash: "00000000000000ff",
		Members: []gateway.MemberReport{
			{ID: "n1", State: "alive", Since: noon.Add(-time.Hour), Incarnation: at(time.Hour), Zone: "a", Roles: both, Protocol: 1, Addr: "10.0.0.1:9", URL: "http://n1", Shards: 2048, Admitted: true},
			{ID: "n2", State: "suspect", Since: noon.Add(-2 * time.Second), Incarnation: at(time.Minute), Roles: both, Protocol: 1, Addr: "10.0.0.2:9", URL: "http://n2", Shards: 1024},
			{ID: "n3", State: "alive", Since: noon, Incarnation: at(0), Leaving: true, Roles: []string{"presence"}, Protocol: 2, Addr: "10.0.0.3:9", Shards: 1024},
			{ID: "n4\x1b[2J", State: "dead", Since: noon, Incarnation: at(0), Roles: []string{"gateway"}, Protocol: 1},
		},
		Shards:   gateway.ShardReport{Total: 4096, Served: 2000, Held: 48, Imbalance: 1.5, Activations: 12},
		Moves:    gateway.MoveReport{UnderWay: 4, Done: 3, Users: 2, Conflicts: 1},
		Interest: gateway.InterestReport{},
		Peers:    []peers.Status{{ID: "n2", Shed: 5}, {ID: "n3"}},
		Gossip:   &gateway.GossipReport{Addr: "10.0.0.1:7946", Seeds: []string{"10.0.0.9:7946"}, LastJoin: "refused", Expect: 5, NotReady: "4 of 5"},
		User:     &gateway.UserReport{ID: "t/8:orgid:x", Shard: 77, Owner: "n3", Replicas: []string{"n3", "n1", "n2"}},
	}
}

// lines are without their alignment.
func lines(text string) []string {
	all := strings.Split(text, "\n")
	for i, l := range all {
		all[i] = strings.Join(strings.Fields(l), " ")
	}
	return all
}

func expectLines(t *testing.T, text string, want ...string) {
	t.Helper()
	got := lines(text)
	for _, w := range want {
		found := false
		for _, l := range got {
			found = found || l == w
		}
		if !found {
			t.Errorf("no line %q in\n%s", w, text)
		}
	}
}

func TestMembersAreATable(t *testing.T) {
	var b strings.Builder
	drawMembers(&b, report(), noon)
	expectLines(t, b.String(),
		"cluster berlin: 3 members, epoch 7, table 00000000000000ff, gossip 10.0.0.1:7946, 5 expected",
		"ID STATE SINCE ZONE ROLES PEER ADDRESS CLIENTS PROTOCOL SHARDS UP",
		"* n1 alive 1h a gateway,presence 10.0.0.1:9 http://n1 1 2048 1h",
		"n2 suspect 2s - gateway,presence 10.0.0.2:9 http://n2 1 1024 1m",
		"n3 leaving 0s - presence 10.0.0.3:9 - 2 1024 0s",
		"n4[2J dead 0s - gateway - - 1 0 -",
		"! n2 does not answer everybody: it is declared dead unless it does soon",
		"! n3 takes no part for n1, which has not reached its data port 10.0.0.3:9 yet",
		"! n1 is not ready: 4 of 5",
		"! the last join of 10.0.0.9:7946 failed: refused",
		"! to n2: 5 messages shed, 0 lost",
	)
	if strings.Contains(b.String(), "\x1b") {
		t.Errorf("another node's name reaches the terminal: %q", b.String())
	}
	b.Reset()
	drawMembers(&b, report(), time.Time{})
	if want := noon.Local().Format("01-02T15:04:05"); !strings.Contains(b.String(), want) {
		t.Errorf("lines to be compared have no times as %s:\n%s", want, b.String())
	}
}

func TestShardsAreBars(t *testing.T) {
	var b strings.Builder
	drawShards(&b, report(), noon)
	expectLines(t, b.String(),
		"t/8:orgid:x is in shard 77: owner n3, replicas n1, n2",
		"* n1 alive 2048 50.0 % 1.500 "+strings.Repeat("█", 30),
		"n2 suspect 1024 25.0 % 0.750 "+strings.Repeat("█", 15),
		"n4[2J dead 0 0.0 % 0.000",
		"largest share over the average: 1.500",
		"n1: 2000 served, 0 awaited, 0 taking, 48 held, 0 yielding, 12 activations",
		"moves from n1: 4 under way, 3 done with 2 users, 1 conflicts",
		"shards are on their way; every one of them is served meanwhile",
	)
	alone := &gateway.ClusterReport{Self: "n1", User: &gateway.UserReport{ID: "t/x", Owner: "n1", Replicas: []string{"n1"}}}
	b.Reset()
	drawShards(&b, alone, noon)
	expectLines(t, b.String(), "node n1 is alone (epoch 0)", "t/x is in shard 0: owner n1, no replica")
	alone.User.Owner = ""
	b.Reset()
	drawShards(&b, alone, noon)
	expectLines(t, b.String(), "t/x is in shard 0: no member keeps users")
}

func TestUsersAreNamedWithTheirTenant(t *testing.T) {
	alice := "5c0a7a10-9d3e-4b61-8f21-000000000001/8:orgid:a11ce000-6c1f-4f0e-a9be-000000000001"
	for name, want := range map[string]string{
		"alice": alice,
		"dave":  "5c0a7a10-9d3e-4b61-8f21-000000000002/8:orgid:da4e0000-6c1f-4f0e-a9be-000000000004",
		alice:   alice,
		"x/8:y": "x/8:y",
	} {
		if got := wholeID(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// answering is a server that always answers alike.
func answering(t *testing.T, status int, body string) Eyes {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // the client may have heard enough
	}))
	t.Cleanup(s.Close)
	return Eyes{Operator: Operator{Admin: s.URL}}
}

func TestAnswersOfNoNodeAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		status     int
		body, want string
	}{
		"a page":        {200, "<html>", "did not answer with a cluster"},
		"other JSON":    {200, `{"a":1}`, "did not answer with a cluster"},
		"a wrong type":  {200, `{"self":1}`, "did not answer with a cluster"},
		"endless":       {200, `{"self":"` + strings.Repeat("x", maxAnswer), "did not answer with a cluster"},
		"no such page":  {404, "nothing", "is it a node's --admin-listen"},
		"public":        {404, `{"error":{"code":"not_found","message":"x"}}`, "is it a node's --admin-listen"},
		"an error":      {400, `{"error":{"code":"bad_id","message":"no \u001b[2Juser"}}`, "bad_id: no [2Juser"},
		"a broken node": {500, "", "status 500"},
	} {
		m := Members{answering(t, tt.status, tt.body)}
		if err := m.run(t.Context(), t.Output()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	for _, admin := range []string{"", "127.0.0.1:8081", "ftp://x", "http://"} {
		m := Members{Eyes{Operator: Operator{Admin: admin}}}
		if err := m.run(t.Context(), t.Output()); err == nil || !strings.Contains(err.Error(), "--admin must be as") {
			t.Errorf("--admin %q: %v", admin, err)
		}
	}
	m := Members{Eyes{Operator: Operator{Admin: "http://127.0.0.1:1"}}}
	if err := m.run(t.Context(), t.Output()); err == nil || !strings.Contains(err.Error(), "no node answers") {
		t.Errorf("nobody there: %v", err)
	}
}

// counted ends the watching after some writes.
type counted struct {
	text strings.Builder
	left int
	stop context.CancelFunc
}

func (c *counted) Write(b []byte) (int, error) {
	if c.left--; c.left == 0 {
		c.stop()
	}
	return c.text.Write(b)
}

func TestWatchWritesWhatHasChanged(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		r := report()
		r.Epoch = uint64(1 + asked/5) // 1, 1, an error, 1, 2
		_ = json.NewEncoder(w).Encode(r)
	}))
	defer s.Close()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	out := &counted{left: 4, stop: stop}
	m := Members{Eyes{Operator: Operator{Admin: s.URL}, Watch: true, every: time.Millisecond}}
	if err := m.run(ctx, out); err != nil {
		t.Fatal(err)
	}
	text := out.text.String()
	if a, b, c := strings.Count(text, "epoch 1,"), strings.Count(text, "status 502"), strings.Count(text, "epoch 2,"); a != 2 || b != 1 || c != 1 {
		t.Errorf("%d, %d and %d of the states were written:\n%s", a, b, c, text)
	}
}

func TestScreenIsDrawnOver(t *testing.T) {
	var out strings.Builder
	last := ""
	for range 2 {
		if err := redraw(&out, "a\nb\n", &last, true); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := out.String(), strings.Repeat("\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J", 2); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
