// Package rollcall_test holds the rules of the repository's layout: which package may import which,
// what each must say about itself, and how large a file may grow.
package rollcall_test

import (
	"os"
	"testing"
)

// layers orders the top folders; an import may only go to a lower number, never sideways.
// A folder's own sub-packages belong to it.
var layers = map[string]int{
	"cmd":         7,
	"bench":       7,
	"clustertest": 6,
	"load":        6,
	"gateway":     5,
	"web":         5,
	"actors":      4,
	"copies":      3,
	"cluster":     2,
	"persistence": 2,
	"messages":    1,
	"wheel":       1,
	"presence":    0,
	"trouter":     0,
	"replica":     0,
	"limit":       0,
}

// beside holds the folders that stand outside the layers, with all that each may import.
var beside = map[string][]string{
	"client": {"messages", "presence", "trouter", "limit"},
}

// besideUsers are the folders whose code may import one of beside; tests above layer 4 may too.
var besideUsers = []string{"cmd", "clustertest"}

// room says where a dependency may be imported. A path covers the packages below it, here and in folders.
type room struct {
	paths     []string
	folders   []string
	inTests   []string // further folders whose test files may
	everyTest bool     // test files of every folder may
}

var rooms = []room{
	{paths: []string{"github.com/dgraph-io/badger"}, folders: []string{"persistence"}},
	{paths: []string{"github.com/hashicorp/memberlist"}, folders: []string{"cluster"}},
	{paths: []string{"github.com/asynkron/protoactor-go"}, folders: []string{"actors", "cluster", "cmd"}},
	{paths: []string{"net/http"}, folders: []string{"gateway", "client", "web", "load", "cmd"}, everyTest: true},
	{paths: []string{"github.com/alecthomas/kong"}, folders: []string{"cmd"}},
	{paths: []string{"github.com/charmbracelet"}, folders: []string{"cmd", "load/view"}},
	{paths: []string{"go.yaml.in/yaml"}, folders: []string{"load/scenario"}},
	{paths: []string{"github.com/HdrHistogram"}, folders: []string{"load/measure"}, inTests: []string{"bench"}},
	{
		paths:   []string{"github.com/prometheus"},
		folders: []string{"actors", "copies", "cluster", "persistence", "gateway", "cmd"},
	},
	{
		paths:   []string{"github.com/gobwas"},
		folders: []string{"gateway/wsconn"},
		inTests: []string{"gateway", "client", "cmd"},
	},
	{paths: []string{"github.com/coder/websocket"}, folders: []string{"client"}, everyTest: true},
	{
		paths: []string{
			"github.com/coreos/go-oidc", "github.com/golang-jwt/jwt", "github.com/go-jose/go-jose",
		},
		folders: []string{"gateway/auth"},
	},
}

// Layer 0 is pure: of the standard library it may not use what touches the world outside, and of
// package time only what computes. net/url and net/netip only parse.
var (
	impurePackages = []string{"net", "os", "sync", "syscall"}
	pureExceptions = []string{"net/url", "net/netip"}
	clockFunctions = []string{
		"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker",
	}
)

// Hand-written code that is not a test stays below these.
const (
	maxFileLines     = 400
	maxFunctionLines = 60
)

// bannedWords say nothing about what a thing does; no declared name may have one as a word of it.
var bannedWords = []string{"manager", "helper", "helpers", "util", "utils", "impl"}

// skippedFolders hold no package of the project.
var skippedFolders = []string{"bin", "data", "internalwarm", "node_modules", "testdata", "vendor"}

func TestLayout(t *testing.T) {
	files, err := scan(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go file found: the layout was not checked")
	}
	for _, f := range findings(files) {
		t.Error(f)
	}
}
