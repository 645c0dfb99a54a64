package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"rollcall/cluster/topology"
	"rollcall/gateway"
	"rollcall/gateway/gatewaytest"
)

func TestNodeAloneShowsItselfAsTheCluster(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	const alice = "5c0a7a10-9d3e-4b61-8f21-000000000001/8:orgid:A11CE000-6c1f-4f0e-a9be-000000000001"
	reply := call(t, http.MethodGet, n.Admin+"/admin/v1/cluster?of="+url.QueryEscape(alice), "", "")
	var r gateway.ClusterReport
	if err := json.Unmarshal([]byte(reply.body), &r); err != nil || reply.status != http.StatusOK {
		t.Fatalf("%d %s: %v", reply.status, reply.body, err)
	}
	if r.Cluster != "" || r.Gossip != nil || r.Epoch == 0 || len(r.TableHash) != 16 || len(r.Members) != 1 || r.Peers == nil {
		t.Fatalf("alone: %s", reply.body)
	}
	m := r.Members[0]
	if m.ID != r.Self || m.State != "alive" || m.URL != n.URL || !slices.Equal(m.Roles, []string{"gateway", "presence"}) || m.Shards != 4096 {
		t.Errorf("member %+v", m)
	}
	if s := r.Shards; s.Served != 4096 || s.Total != 4096 || !s.Settled || s.Imbalance != 1 {
		t.Errorf("shards %+v", s)
	}
	if u := r.User; u == nil || u.Shard != 2390 || u.Owner != r.Self || !slices.Equal(u.Replicas, []string{r.Self}) || u.ID != strings.ToLower(alice) {
		t.Errorf("user %+v", u)
	}
	if _, ok := n.Membership(); ok {
		t.Error("it is a member of something")
	}
}

func TestClusterReportTakesNoRubbish(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	for _, of := range []string{
		"alice", "8:orgid:a11ce000-6c1f-4f0e-a9be-000000000001", "/", "x/8:y", "\x00", strings.Repeat("a", 9000),
		"00000000-0000-0000-0000-000000000000/8:y", "5c0a7a10-9d3e-4b61-8f21-000000000001/8:" + strings.Repeat("y", 200),
	} {
		if r := call(t, http.MethodGet, n.Admin+"/admin/v1/cluster?of="+url.QueryEscape(of), "", ""); r.status != http.StatusBadRequest || r.code() != "bad_id" {
			t.Errorf("of=%.40q: %d %s", of, r.status, r.body)
		}
	}
	if r := call(t, http.MethodPost, n.Admin+"/admin/v1/cluster", "", "{}"); r.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d %s", r.status, r.body)
	}
	if r := call(t, http.MethodGet, n.URL+"/admin/v1/cluster", "", ""); r.status != http.StatusNotFound {
		t.Errorf("in public: %d %s", r.status, r.body)
	}
}

func TestRoleNames(t *testing.T) {
	for text, want := range map[string]topology.Role{
		"gateway": topology.Gateway, "presence": topology.Presence, "gateway,presence": topology.Gateway | topology.Presence,
		"presence,presence": topology.Presence, "": 0, "Gateway": 0, "gateway,": 0, "owner": 0,
	} {
		got, err := gateway.ParseRoles(strings.Split(text, ","))
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	if _, err := gateway.ParseRoles(nil); err == nil {
		t.Error("no role at all is taken")
	}
	if got := gateway.RoleNames(topology.Gateway | topology.Presence); !slices.Equal(got, []string{"gateway", "presence"}) {
		t.Errorf("both are %q", got)
	}
}
