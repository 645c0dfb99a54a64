package rollcall_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// file begins a documented file of a package; the rest of its text follows.
func file(pkg string, rest ...string) string {
	return fmt.Sprintf("// Package %s is an example.\npackage %s\n%s\n", pkg, pkg, strings.Join(rest, "\n"))
}

func importing(pkg string, paths ...string) string {
	var b strings.Builder
	for _, p := range paths {
		fmt.Fprintf(&b, "import _ %q\n", p)
	}
	return file(pkg, b.String())
}

func lines(n int) string { return strings.Repeat("\t_ = 0\n", n) }

// broken lists small repositories that each break one rule, with a part of the only finding due.
var broken = map[string]struct {
	tree map[string]string
	want string
}{
	"upward import": {
		map[string]string{"actors/a.go": importing("actors", "rollcall/gateway/ups")}, "only point down"},
	"upward import in a test": {
		map[string]string{"actors/a_test.go": importing("actors", "rollcall/cmd/node")}, "only point down"},
	"sideways import": {
		map[string]string{"cluster/c.go": importing("cluster", "rollcall/persistence")}, "only point down"},
	"sideways import of the pure layer": {
		map[string]string{"trouter/t.go": importing("trouter", "rollcall/presence")}, "only point down"},
	"client on the server's code": {
		map[string]string{"client/c.go": importing("client", "rollcall/actors")}, "client may import only"},
	"server code on the client": {
		map[string]string{"gateway/g.go": importing("gateway", "rollcall/client")}, "which only cmd"},
	"low test on the client": {
		map[string]string{"wheel/w_test.go": importing("wheel", "rollcall/client")}, "which only cmd"},
	"folder without a layer": {
		map[string]string{"common/c.go": file("common")}, `"common" has no place`},
	"code at the root": {
		map[string]string{"main.go": file("rollcall")}, "has no place"},
	"badger outside its room": {
		map[string]string{"actors/a_test.go": importing("actors", "github.com/dgraph-io/badger/v4")}, "belongs to persistence"},
	"memberlist outside its room": {
		map[string]string{"actors/a.go": importing("actors", "github.com/hashicorp/memberlist")}, "belongs to cluster"},
	"protoactor outside its room": {
		map[string]string{"gateway/g.go": importing("gateway", "github.com/asynkron/protoactor-go/actor")}, "belongs to actors"},
	"net/http outside its room": {
		map[string]string{"actors/a.go": importing("actors", "net/http/pprof")}, "belongs to gateway"},
	"net/http in a pure test": {
		map[string]string{"limit/l_test.go": importing("limit", "net/http/httptest")}, "belongs to gateway"},
	"kong outside its room": {
		map[string]string{"gateway/g.go": importing("gateway", "github.com/alecthomas/kong")}, "belongs to cmd"},
	"bubbletea outside its room": {
		map[string]string{"client/c.go": importing("client", "github.com/charmbracelet/bubbletea")}, "belongs to cmd"},
	"prometheus outside its room": {
		map[string]string{"wheel/w.go": importing("wheel", "github.com/prometheus/client_golang/prometheus")}, "belongs to actors"},
	"gobwas outside its room": {
		map[string]string{"gateway/native/n.go": importing("native", "github.com/gobwas/ws")}, "belongs to gateway/wsconn"},
	"coder/websocket outside its room": {
		map[string]string{"gateway/native/n.go": importing("native", "github.com/coder/websocket")}, "belongs to client"},
	"go-oidc outside its room": {
		map[string]string{"gateway/graph/g.go": importing("graph", "github.com/coreos/go-oidc/v3/oidc")}, "belongs to gateway/auth"},
	"golang-jwt outside its room": {
		map[string]string{"cmd/node/m.go": importing("main", "github.com/golang-jwt/jwt/v5")}, "belongs to gateway/auth"},
	"go-jose outside its room": {
		map[string]string{"client/c.go": importing("client", "github.com/go-jose/go-jose/v4")}, "belongs to gateway/auth"},
	"pure package on a library": {
		map[string]string{"presence/p.go": importing("presence", "github.com/google/go-cmp/cmp")}, "standard library only"},
	"pure package on os": {
		map[string]string{"presence/p.go": importing("presence", "os/user")}, "layer 0 is pure"},
	"pure package on net": {
		map[string]string{"trouter/t.go": importing("trouter", "net")}, "layer 0 is pure"},
	"pure package on sync": {
		map[string]string{"limit/l.go": importing("limit", "sync/atomic")}, "layer 0 is pure"},
	"pure package with a clock": {
		map[string]string{"presence/p.go": file("presence", `import clock "time"`, "var now = clock.Now")}, "time.Now"},
	"pure package that sleeps": {
		map[string]string{"trouter/t.go": file("trouter", `import "time"`, "func f() { time.Sleep(1) }")}, "time.Sleep"},
	"pure package that waits": {
		map[string]string{"trouter/t.go": file("trouter", `import "time"`, "func f() { <-time.After(1) }")}, "time.After"},
	"pure package with a goroutine": {
		map[string]string{"presence/p.go": file("presence", "func f() { go f() }")}, "go statement"},
	"package without a comment": {
		map[string]string{"wheel/w.go": "package wheel\n", "wheel/w_test.go": file("wheel")}, "no package comment"},
	"package with a comment in generated code only": {
		map[string]string{"messages/m.pb.go": "// Code generated by x. DO NOT EDIT.\n\n" + file("messages")}, "no package comment"},
	"file of 401 lines": {
		map[string]string{"wheel/w.go": "// Package wheel is an example.\npackage wheel\n" + strings.Repeat("// x\n", 399)}, "401 lines"},
	"function of 61 lines": {
		map[string]string{"wheel/w.go": file("wheel", "func f() {\n"+lines(59)+"}")}, "function f has 61 lines"},
	"type named for nothing": {
		map[string]string{"wheel/w.go": file("wheel", "type TimerManager struct{}")}, `"manager"`},
	"function named for nothing": {
		map[string]string{"wheel/w_test.go": file("wheel", "func testHelper() {}")}, `"helper"`},
	"field named for nothing": {
		map[string]string{"wheel/w.go": file("wheel", "type T struct{ storeImpl int }")}, `"impl"`},
	"variable named for nothing": {
		map[string]string{"wheel/w.go": file("wheel", "func f() { HTTPUtil := 1; _ = HTTPUtil }")}, `"util"`},
	"file named for nothing": {
		map[string]string{"wheel/timer_utils.go": file("wheel")}, `"utils"`},
}

func TestLayoutFindsBrokenRules(t *testing.T) {
	for name, tt := range broken {
		t.Run(name, func(t *testing.T) {
			got := findingsIn(t, tt.tree)
			if len(got) != 1 || !strings.Contains(got[0], tt.want) {
				t.Fatalf("findings %q, want one with %q", got, tt.want)
			}
		})
	}
}

func TestLayoutAcceptsWhatFollowsTheRules(t *testing.T) {
	got := findingsIn(t, map[string]string{
		"layout_test.go":          importing("rollcall_test", "os"),
		"cmd/node/main.go":        importing("main", "rollcall/client", "rollcall/gateway", "github.com/alecthomas/kong", "net/http"),
		"clustertest/c.go":        importing("clustertest", "rollcall/client", "rollcall/gateway"),
		"gateway/g.go":            importing("gateway", "rollcall/gateway/wsconn", "rollcall/actors", "net/http"),
		"gateway/g_test.go":       importing("gateway", "rollcall/client", "github.com/coder/websocket", "github.com/gobwas/ws"),
		"gateway/wsconn/w.go":     importing("wsconn", "github.com/gobwas/ws/wsutil"),
		"gateway/auth/a.go":       importing("auth", "github.com/coreos/go-oidc/v3/oidc"),
		"actors/a.go":             importing("actors", "rollcall/persistence", "github.com/prometheus/client_golang/prometheus"),
		"actors/a_test.go":        importing("actors", "net/http/httptest"),
		"persistence/p.go":        importing("persistence", "github.com/dgraph-io/badger/v4", "rollcall/presence"),
		"client/c.go":             importing("client", "rollcall/messages", "rollcall/limit", "net/http"),
		"client/c_test.go":        importing("client", "rollcall/gateway", "rollcall/actors"),
		"messages/doc.go":         file("messages"),
		"messages/m.pb.go":        "// Code generated by x. DO NOT EDIT.\n\npackage messages\n\ntype Util struct{}\n" + strings.Repeat("// x\n", 500),
		"presence/p.go":           file("presence", `import "time"`, `import "net/url"`, "var _ = time.Unix", "var _ url.URL"),
		"presence/p_test.go":      importing("presence", "os", "sync", "pgregory.net/rapid"),
		"wheel/w.go":              file("wheel", "func f() {\n"+lines(58)+"}", "type Implied struct{ utility, helpful int }"),
		"wheel/w_test.go":         "package wheel\n\nfunc f() {\n" + lines(500) + "}\n",
		"wheel/testdata/x.go":     "package x\n",
		"e2e/node_modules/n/x.go": "package x\n",
		"tools/go.mod":            "module rollcall/tools\n",
		"tools/x.go":              "package x\n",
		".hidden/x.go":            "package x\n",
	})
	if len(got) != 0 {
		t.Fatalf("findings %q, want none", got)
	}
}

func TestLayoutNamesTheWorstFirst(t *testing.T) {
	got := findingsIn(t, map[string]string{
		"wheel/a.go": file("wheel", "func f() {\n"+lines(60)+"}"),
		"wheel/b.go": file("wheel", "func g() {\n"+lines(90)+"}"),
	})
	if len(got) != 2 || !strings.Contains(got[0], "function g") {
		t.Fatalf("findings %q, want function g and then f", got)
	}
}

func TestLayoutRefusesFilesThatDoNotParse(t *testing.T) {
	if _, err := scan(fstest.MapFS{"wheel/w.go": {Data: []byte("package")}}); err == nil {
		t.Fatal("scan accepted a broken file")
	}
}

func findingsIn(t *testing.T, tree map[string]string) []string {
	t.Helper()
	root := fstest.MapFS{}
	for name, text := range tree {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	files, err := scan(root)
	if err != nil {
		t.Fatal(err)
	}
	return findings(files)
}
