package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/gateway"
	"rollcall/persistence"
)

// says is what a node says of shards: "3=a" holds shard 3 with root a, "3=" does
// not know it yet, "3:a" has an old copy.
func says(self, table string, shards ...string) gateway.DigestReport {
	r := gateway.DigestReport{Self: self, TableHash: table, Settled: true}
	for _, s := range shards {
		d := gateway.ShardDigest{Of: 3}
		d.Shard = int(s[0] - '0')
		d.Holder, d.Root = s[1] == '=', s[2:]
		r.Shards = append(r.Shards, d)
	}
	return r
}

func TestCompareDigests(t *testing.T) {
	differ := []ShardDifference{{Shard: 3, Roots: map[string]string{"n1": "a", "n2": "b"}}}
	for name, tt := range map[string]struct {
		reports []gateway.DigestReport
		want    Comparison
	}{
		"alone":     {[]gateway.DigestReport{says("n1", "t", "1=a", "2=")}, Comparison{Nodes: 1, Alone: 2}},
		"alike":     {[]gateway.DigestReport{says("n1", "t", "1=a", "2=b"), says("n2", "t", "1=a", "2=b"), says("n3", "t", "1=a", "2=b")}, Comparison{Nodes: 3, Compared: 2}},
		"two of 3":  {[]gateway.DigestReport{says("n1", "t", "1=a"), says("n2", "t", "1=a")}, Comparison{Nodes: 2, Compared: 1, Partly: 1}},
		"different": {[]gateway.DigestReport{says("n1", "t", "3=a"), says("n2", "t", "3=b")}, Comparison{Nodes: 2, Compared: 1, Partly: 1, Differ: differ}},
		"not known": {[]gateway.DigestReport{says("n1", "t", "3=a"), says("n2", "t", "3=")}, Comparison{Nodes: 2, Compared: 1, Partly: 1, Unknown: []int{3}}},
		"old copy":  {[]gateway.DigestReport{says("n1", "t", "3=a"), says("n2", "t", "3:b")}, Comparison{Nodes: 2, Alone: 1, Leftover: 1}},
		"tables": {
			[]gateway.DigestReport{says("n1", "t", "3=a"), says("n2", "u", "3=b")},
			Comparison{Nodes: 2, Tables: map[string]string{"n1": "t", "n2": "u"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := compareDigests(tt.reports)
			tt.want.Settled = true
			if !reflect.DeepEqual(*got, tt.want) {
				t.Errorf("%+v, want %+v", *got, tt.want)
			}
		})
	}
}

// told are nodes that answer with what they are given.
func told(t *testing.T, self string, digests func(round int) string) string {
	t.Helper()
	var rounds atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := `{"self":"` + self + `","cluster":"c","members":[]}`
		switch r.URL.Path {
		case "/admin/v1/digests":
			text = fmt.Sprintf(`{"self":%q,"tableHash":"t","settled":true,"shards":[%s]}`, self, digests(int(rounds.Add(1))))
		case "/admin/v1/check":
			text = "{\"users\":5}\n" + `{"users":9,"report":{"node":"1","users":9,"ghosts":2,"ghostUsers":["t/8:orgid:a","t/8:orgid:b\u001b[2J"]}}`
		}
		_, _ = w.Write([]byte(text)) // the command's end of it is what counts
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestADifferenceMustLast(t *testing.T) {
	shard := func(n int, root string) string {
		return fmt.Sprintf(`{"shard":%d,"holder":true,"of":2,"root":%q}`, n, root)
	}
	one := told(t, "n1", func(int) string { return shard(1, "a") + "," + shard(2, "a") })
	passing := told(t, "n2", func(round int) string {
		return shard(1, strings.Repeat("a", min(3, 4-min(round, 3)))) + "," + shard(2, "a")
	})
	lasting := told(t, "n3", func(round int) string { return shard(1, "a") + "," + shard(2, fmt.Sprint("b", round)) })
	f := findings(t, Check{Admin: []string{one, passing}, Quick: true, every: time.Millisecond}, nil)
	if f.Wrong || f.Compare.Rounds != 3 || len(f.Stores) != 0 {
		t.Errorf("a difference that passes: %+v", f.Compare)
	}
	f = findings(t, Check{Admin: []string{one, lasting}, Quick: true, every: time.Millisecond}, errWrong)
	if !f.Wrong || f.Compare.Rounds != compareRounds || len(f.Compare.Differ) != 1 || f.Compare.Differ[0].Shard != 2 {
		t.Errorf("a difference that stays: %+v", f.Compare)
	}
}

func TestCheckShowsWhatIsWrong(t *testing.T) {
	node := told(t, "n1", func(int) string { return "" })
	var out bytes.Buffer
	err := (&Check{Admin: []string{node}}).run(t.Context(), &out, t.Output())
	if err == nil || !strings.Contains(out.String(), "! n1: 2 ghosts") || !strings.Contains(out.String(), "    t/8:orgid:b[2J\n") {
		t.Errorf("%v: %s", err, &out)
	}
	f := Findings{Wrong: true, Stores: []StoreFindings{{"data", persistence.CheckReport{
		Users: 12, Orphans: 30, OrphanKeys: []string{"7a"}, Ahead: 1, AheadUsers: []string{"u"}, WrongDigests: 1, WrongShards: []uint16{77},
	}}}, Compare: &Comparison{Unknown: []int{1, 2}, Tables: map[string]string{"n1": "a", "n2": "b"}}}
	for i := range 12 {
		f.Compare.Differ = append(f.Compare.Differ, ShardDifference{Shard: i, Roots: map[string]string{"n1": "a", "n2": "b"}})
	}
	text := f.text()
	for _, want := range []string{
		"30 values that nothing reads", "and 29 more", "1 users with a time in the future", "shard 77", "do not agree", "n2: table b",
		"2 shards are still being read", "12 shards differ", "shard 9: n1 a n2 b", "and 2 more",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
