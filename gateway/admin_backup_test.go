package gateway_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"rollcall/gateway"
	"rollcall/gateway/gatewaytest"
	"rollcall/persistence"
)

// noted publishes a note for alice.
func noted(t *testing.T, n *gatewaytest.Node) {
	t.Helper()
	if r := call(t, http.MethodPost, n.URL+"/v1/publish", n.User(t, "alice"), `{"source":"note","note":"back at 3"}`); r.status != http.StatusOK {
		t.Fatalf("publish: %d %s", r.status, r.body)
	}
}

func TestBackupIsStreamed(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	noted(t, n)
	answer := call(t, http.MethodGet, n.Admin+"/admin/v1/backup?part=2&of=3", "", "")
	r := persistence.NewBackupReader(strings.NewReader(answer.body))
	head, err := r.NextPart(2, 3)
	if err != nil || head.Node == 0 || head.Part != 2 || head.Of != 3 {
		t.Fatalf("%d: head %+v, %v", answer.status, head, err)
	}
	rec, err := r.Read()
	if c, ok, bad := rec.User(); err != nil || !ok || bad != nil || c.User.MRI != gatewaytest.MRI(t, "alice") || len(c.Elements) != 1 {
		t.Errorf("the user is %+v, %v, %v", c, err, bad)
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("after the user: %v", err)
	}
	for query, want := range map[string]int{
		"?part=0": http.StatusBadRequest, "?part=2": http.StatusBadRequest, "?of=1001": http.StatusBadRequest,
		"?part=x": http.StatusBadRequest, "?part=1&of=99999999999999999999": http.StatusBadRequest, "": http.StatusOK,
	} {
		if r := call(t, http.MethodGet, n.Admin+"/admin/v1/backup"+query, "", ""); r.status != want {
			t.Errorf("%q: %d %s", query, r.status, r.body)
		}
	}
	for _, path := range []string{"backup", "check", "digests"} {
		if r := call(t, http.MethodGet, n.URL+"/admin/v1/"+path, "", ""); r.status != http.StatusNotFound {
			t.Errorf("%s is public: %d", path, r.status)
		}
	}
}

func TestCheckReadsTheStore(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	noted(t, n)
	answer := call(t, http.MethodGet, n.Admin+"/admin/v1/check", "", "")
	var last gateway.CheckLine
	for s := bufio.NewScanner(strings.NewReader(answer.body)); s.Scan(); {
		last = gateway.CheckLine{}
		if err := json.Unmarshal(s.Bytes(), &last); err != nil {
			t.Fatal(err)
		}
	}
	if last.Report == nil || last.Report.Users != 1 || last.Report.Wrong() {
		t.Errorf("the last line is %+v", last)
	}
	var d gateway.DigestReport
	if err := json.Unmarshal([]byte(call(t, http.MethodGet, n.Admin+"/admin/v1/digests", "", "").body), &d); err != nil {
		t.Fatal(err)
	}
	filled := 0
	for _, s := range d.Shards {
		if !s.Holder || s.Of != 1 {
			t.Fatalf("shard %+v of a node that is alone", s)
		}
		if s.Root != "" && s.Root != "0000000000000000" {
			filled++
		}
	}
	if len(d.Shards) != 4096 || filled != 1 || d.Self == "" || d.TableHash == "" || !d.Settled {
		t.Errorf("%d shards, %d of them hold something: %+v", len(d.Shards), filled, d.Self)
	}
}
