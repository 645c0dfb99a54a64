package clustertest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"rollcall/cluster/topology"
)

func TestOnlyWhatDeadRunsLeftIsRemoved(t *testing.T) {
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	id := dead.Process.Pid
	for name, want := range map[string]bool{
		fmt.Sprintf("rc%d", id): true, fmt.Sprintf("rc%d-n12", id): true,
		fmt.Sprintf("rc%d", os.Getpid()): false, fmt.Sprintf("rc%d-n1", os.Getpid()): false,
		fmt.Sprintf("xrc%d", id): false, fmt.Sprintf("rc%d-eth0", id): false, "rc": false, "eth0": false, "docker0": false,
	} {
		if got := abandoned(name); got != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
}

func TestTableOfAView(t *testing.T) {
	members := []topology.Member{
		{ID: "a", Incarnation: 3, Addr: "10.0.0.1:1", Zone: "z", Roles: topology.Gateway | topology.Presence, Protocol: 1, URL: "http://a"},
		{ID: "b", Incarnation: 4, Addr: "10.0.0.2:1", Roles: topology.Presence, Leaving: true, Protocol: 1},
	}
	want := topology.NewTable(7, members)
	v := view{Epoch: 7, TableHash: fmt.Sprintf("%016x", want.Hash()), Members: []member{
		{ID: "a", State: "alive", Admitted: true, Incarnation: 3, Addr: "10.0.0.1:1", Zone: "z", Roles: []string{"gateway", "presence"}, Protocol: 1, URL: "http://a"},
		{ID: "b", State: "suspect", Admitted: true, Incarnation: 4, Addr: "10.0.0.2:1", Roles: []string{"presence"}, Leaving: true, Protocol: 1},
		{ID: "c", State: "dead", Admitted: true}, {ID: "d", State: "left"}, {ID: "e", State: "alive"},
	}}
	if _, err := v.table(); err != nil {
		t.Error(err)
	}
	v.Members[1].Leaving = false
	if _, err := v.table(); err == nil {
		t.Error("another table than the node's was taken for its own")
	}
}

func TestItemsOfAnAnswer(t *testing.T) {
	items := map[int]item{}
	good := `{"items":[{"user":"` + userMRI(300) + `","version":"A00000000000000000007","availability":"Busy","activity":"InACall"}]}`
	if err := parseItems([]byte(good), items); err != nil || items[300] != (item{7, onPhone}) {
		t.Errorf("%v, %v", items, err)
	}
	for _, bad := range []string{
		`{`, strings.Replace(good, "A0", "B0", 1), strings.Replace(good, "Busy", "Lazy", 1), strings.Replace(good, "InACall", "x", 1),
		strings.Replace(good, userMRI(300), "nobody", 1),
	} {
		if parseItems([]byte(bad), items) == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestReportIsAMarkdownTable(t *testing.T) {
	var r report
	r.add(figures{scenario: "kill", detect: 1700 * time.Millisecond, serve: []time.Duration{2 * time.Second, time.Millisecond}, lost: 3, failed: true})
	lines := strings.Split(strings.TrimSpace(r.table()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%q", lines)
	}
	for _, l := range lines {
		if n := strings.Count(l, "|"); n != len(columns)+1 {
			t.Errorf("%d cells, want %d: %s", n-1, len(columns), l)
		}
	}
	for _, want := range []string{"kill (failed)", "1.7 s", "2.0 s / 2.0 s / 2.0 s", "| 3 |"} {
		if !strings.Contains(lines[2], want) {
			t.Errorf("%s says nothing of %s", lines[2], want)
		}
	}
}
