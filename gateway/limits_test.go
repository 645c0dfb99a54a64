package gateway_test

import (
	"bufio"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/gateway/auth/devissuer"
	"rollcall/gateway/gatewaytest"
)

const patience = 20 * time.Second

// Limits of HTTP, each crossed by one on a node of its own, beside a neighbour
// who must be served as ever. The names are those of rows of docs/limits.md.
func TestLimits(t *testing.T) {
	for name, cross := range limitRows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := gatewaytest.Start(t, gatewaytest.Options{})
			cross(t, n)
			if r := call(t, http.MethodGet, n.URL+"/livez", "", ""); r.status != http.StatusOK {
				t.Errorf("the neighbour was answered %d %s", r.status, r.body)
			}
		})
	}
}

var limitRows = map[string]func(*testing.T, *gatewaytest.Node){
	"header-size": func(t *testing.T, n *gatewaytest.Node) {
		if head := exchange(t, n.URL, "GET /livez HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 15<<10)+"\r\n\r\n"); !strings.Contains(head, " 200 ") {
			t.Errorf("a header of 15 KiB was answered %q", head)
		}
		if head := exchange(t, n.URL, "GET /livez HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 20<<10+1)+"\r\n\r\n"); !strings.Contains(head, " 431 ") {
			t.Errorf("a header of 20 KiB was answered %q", head)
		}
	},
	"header-fields": func(t *testing.T, n *gatewaytest.Node) {
		request := func(fields int) string {
			return exchange(t, n.URL, "GET /livez HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("X: y\r\n", fields)+"\r\n")
		}
		if head := request(64); !strings.Contains(head, " 200 ") {
			t.Errorf("64 fields were answered %q", head)
		}
		if head := request(65); !strings.Contains(head, " 431 ") {
			t.Errorf("65 fields were answered %q", head)
		}
	},
	"header-time": func(t *testing.T, n *gatewaytest.Node) {
		began := time.Now()
		if head := exchange(t, n.URL, "GET /livez HTTP/1.1\r\n"); head != "" {
			t.Errorf("half a header was answered %q", head)
		}
		if took := time.Since(began); took < 4*time.Second || took > 9*time.Second {
			t.Errorf("closed after %s", took)
		}
	},
	"body-size": func(t *testing.T, n *gatewaytest.Node) {
		body := `{"source":"note","note":"x"}`
		for size, want := range map[int]string{64 << 10: "", 64<<10 + 1: "too_large"} {
			r := call(t, http.MethodPost, n.URL+"/v1/publish", n.User(t, "alice"), body+strings.Repeat(" ", size-len(body)))
			if got := r.code(); got != want || want != "" && r.status != http.StatusRequestEntityTooLarge {
				t.Errorf("a body of %d bytes was answered %d %s", size, r.status, r.body)
			}
		}
	},
	"body-time": func(t *testing.T, n *gatewaytest.Node) {
		head := exchange(t, n.URL, "POST /v1/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+n.User(t, "alice")+
			"\r\nContent-Length: 10\r\n\r\n{")
		if !strings.Contains(head, " 408 ") {
			t.Errorf("half a body was answered %q", head)
		}
	},
	"body-form": func(t *testing.T, n *gatewaytest.Node) {
		req, err := http.NewRequest(http.MethodPost, n.URL+"/v1/publish", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+n.User(t, "alice"))
		req.Header.Set("Content-Encoding", "br")
		if r := do(t, req); r.status != http.StatusUnsupportedMediaType || r.code() != "unsupported_encoding" {
			t.Errorf("answered %d %s", r.status, r.body)
		}
	},
	"admin-rate": func(t *testing.T, n *gatewaytest.Node) {
		var last reply
		for range 30 { // more than come back while they are sent
			last = call(t, http.MethodGet, n.Admin+"/admin/v1/tenants/"+devissuer.HomeTenant.String()+"/policy", n.App(t), "")
			if last.status != http.StatusOK {
				break
			}
		}
		if last.status != http.StatusTooManyRequests || last.code() != "rate_limited" || last.header.Get("Retry-After") == "" {
			t.Errorf("answered %d %s", last.status, last.body)
		}
	},
}

// exchange writes raw bytes and gives the first line of the answer, empty when
// the server closes without one.
func exchange(t *testing.T, url, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // read to its end
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Logf("write: %v", err) // refused before it was read
	}
	head, err := bufio.NewReader(c).ReadString('\n')
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("neither answered nor closed")
	}
	return head
}

var rowName = regexp.MustCompile("(?m)^\\| `([a-z-]+)`( \\*t\\*)? \\|")

// docs/limits.md names each limit; each name has a test that crosses it, and no
// test has a name that the document lacks.
func TestEveryDocumentedLimitHasATest(t *testing.T) {
	text, err := os.ReadFile("../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, file := range []string{"limits_test.go", filepath.Join("native", "limits_test.go")} {
		for _, name := range rowsOf(t, file) {
			tested[name] = true
		}
	}
	limits, _, _ := strings.Cut(string(text), "## When the node itself is short") // codes, not limits
	rows := rowName.FindAllStringSubmatch(limits, -1)
	if len(rows) < 30 {
		t.Errorf("only %d rows were found", len(rows))
	}
	for _, row := range rows {
		if !tested[row[1]] {
			t.Errorf("limit %s has no test", row[1])
		}
		delete(tested, row[1])
	}
	for name := range tested {
		t.Errorf("test %s has no row", name)
	}
}

// rowsOf gives the keys of a file's limitRows.
func rowsOf(t *testing.T, name string) (keys []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || v.Names[0].Name != "limitRows" {
			return true
		}
		for _, e := range v.Values[0].(*ast.CompositeLit).Elts {
			key, err := strconv.Unquote(e.(*ast.KeyValueExpr).Key.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key)
		}
		return false
	})
	return keys
}
