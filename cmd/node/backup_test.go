package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/alecthomas/kong"
)

// parsed are the flags of a command line.
func parsed(t *testing.T, args ...string) (*commands, error) {
	t.Helper()
	var c commands
	k, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Parse(args)
	return &c, err
}

// alone is a node of its own with an admin listener.
func alone(t *testing.T, data string) *Main {
	t.Helper()
	c, err := parsed(t, "serve", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--no-fsync", "--data="+data)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Start(t.Context(), &c.Serve, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// backedUp is what node backup says; it must succeed.
func backedUp(t *testing.T, b Backup) string {
	t.Helper()
	var said bytes.Buffer
	if err := b.run(t.Context(), io.Discard, &said); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	return said.String()
}

// findings are those of node check, which must end with the error wanted.
func findings(t *testing.T, c Check, want error) (f Findings) {
	t.Helper()
	c.JSON = true
	var out, said bytes.Buffer
	if err := c.run(t.Context(), &out, &said); !errors.Is(err, want) {
		t.Fatalf("%v\n%s%s", err, &out, &said)
	}
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestBackupCheckRestore(t *testing.T) {
	dir := t.TempDir()
	m := alone(t, filepath.Join(dir, "store"))
	if _, err := run(t, &Publish{Access: Access{Server: []string{m.URL}, User: "alice"}, Availability: "Busy"}); err != nil {
		t.Fatal(err)
	}
	live, cold := filepath.Join(dir, "live"), filepath.Join(dir, "cold")
	if said := backedUp(t, Backup{Admin: []string{m.Admin}, Output: live}); !strings.Contains(said, "1 users, 0 policies") {
		t.Errorf("it said %q", said)
	}
	if err := (&Backup{Admin: []string{m.Admin}, Output: live}).run(t.Context(), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "name another") {
		t.Errorf("over a file that is there: %v", err)
	}
	f := findings(t, Check{Admin: []string{m.Admin}}, nil)
	if len(f.Stores) != 1 || f.Stores[0].Report.Users != 1 || f.Compare == nil || f.Compare.Alone != 4096 || f.Wrong {
		t.Errorf("findings %+v", f)
	}
	stopped(t, m)
	backedUp(t, Backup{Data: filepath.Join(dir, "store"), Output: cold})
	f = findings(t, Check{Data: filepath.Join(dir, "store")}, nil)
	if len(f.Stores) != 1 || f.Stores[0].Report.Users != 1 || f.Wrong {
		t.Errorf("findings %+v", f)
	}

	restored := filepath.Join(dir, "restored")
	var said bytes.Buffer
	if err := (&Restore{Data: restored, Files: []string{live, cold}}).run(t.Context(), io.Discard, &said); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	if !strings.Contains(said.String(), restored+": 1 users, 0 policies, verified") {
		t.Errorf("it said %q", &said)
	}
	m = alone(t, restored)
	defer stopped(t, m)
	w := watching(t, &Watch{Access: Access{Server: []string{m.URL}, User: "bob"}, Users: []string{"alice"}})
	w.until("alice Busy/Busy")
}

func TestBackupOfACluster(t *testing.T) {
	dir := t.TempDir()
	one := joined(t, dir, "n1", "--gossip-listen=127.0.0.1:0")
	two := joined(t, dir, "n2", "--join="+one.gossip)
	views := settled(t, one, two)
	published(t, one, two, strings.TrimSpace(tool(t, "token", "--server", one.url, "--user", "alice")))
	name := filepath.Join(dir, "backup")
	err := (&Backup{Admin: []string{one.admin}, All: true, Output: name}).run(t.Context(), io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "not in this backup: "+views[1].Self) {
		t.Errorf("--all with one of two: %v", err)
	}
	if left, _ := filepath.Glob(name + "*"); len(left) > 0 {
		t.Errorf("a refused backup left %q", left)
	}
	err = (&Backup{Admin: []string{one.admin, one.admin}, Output: name}).run(t.Context(), io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "are the same node") {
		t.Errorf("one node twice: %v", err)
	}
	said := backedUp(t, Backup{Admin: []string{one.admin, two.admin}, All: true, Output: name})
	if !strings.Contains(said, views[0].Self+": 1 users") || !strings.Contains(said, views[1].Self+": ") {
		t.Errorf("it said %q", said)
	}
	f := findings(t, Check{Admin: []string{one.admin, two.admin}}, nil)
	if len(f.Stores) != 2 || f.Compare.Compared != 4096 || f.Compare.Partly != 0 || f.Wrong {
		t.Errorf("findings %+v, %+v", f.Stores, f.Compare)
	}
	text := tool(t, "check", "--quick", "--admin", one.admin, "--admin", two.admin)
	if !strings.Contains(text, "4096 shards compared") || !strings.Contains(text, "nothing is wrong") {
		t.Errorf("check says\n%s", text)
	}
	one.end(t, syscall.SIGKILL)
	two.end(t, syscall.SIGKILL)

	tool(t, "restore", "--data", filepath.Join(dir, "n4"), "--cluster", "rollcall", name)
	four := joined(t, dir, "n4", "--gossip-listen=127.0.0.1:0")
	token := strings.TrimSpace(tool(t, "token", "--server", four.url, "--user", "alice"))
	status, body := request(t, http.MethodGet, four.url+"/v1/presence?user="+aliceID, token, "")
	if status != http.StatusOK || !strings.Contains(body, `"activity":"InACall"`) {
		t.Errorf("after the restore: %d %s", status, body)
	}
}

func TestBackupSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	half := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/admin/v1/cluster" {
			_, _ = io.WriteString(w, `{"self":"n1","members":[]}`) // the command's end of it is what counts
			return
		}
		_, _ = io.WriteString(w, "\x89RCB\r\n\x1a\n\x00\x00\x00\x01h")
	}))
	defer half.Close()
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	notes := filepath.Join(dir, "notes")
	if err := os.WriteFile(notes, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"no node":               {[]string{"backup", "--admin=http://127.0.0.1:1", "-o", out}, "--admin-listen is the address to give"},
		"no URL":                {[]string{"backup", "--admin=n1", "-o", out}, "--admin must be as"},
		"half an answer":        {[]string{"backup", "--admin=" + half.URL, "-o", out}, "did not send its part whole"},
		"no directory":          {[]string{"backup", "--data=" + dir + "/none", "-o", out}, "name another directory"},
		"an empty directory":    {[]string{"backup", "--data=" + empty, "-o", out}, "it is empty"},
		"all of a directory":    {[]string{"backup", "--data=" + empty, "--all", "-o", out}, "--all is for running nodes"},
		"no cluster":            {[]string{"backup", "--data=" + empty, "--cluster=A B", "-o", out}, "--cluster"},
		"no such place":         {[]string{"backup", "--data=" + empty, "-o", dir + "/none/out"}, "no such file"},
		"check of no node":      {[]string{"check", "--admin=http://127.0.0.1:1"}, "--admin-listen is the address to give"},
		"check of nothing":      {[]string{"check", "--data=" + empty}, "it is empty"},
		"restore of no backup":  {[]string{"restore", "--data=" + out, notes}, "no Rollcall backup"},
		"restore of no file":    {[]string{"restore", "--data=" + out, dir + "/none"}, "no such file"},
		"serve with too many":   {[]string{"serve", "--listen=127.0.0.1:0", "--admin-listen=", "--data=" + out, "--min-copies=4"}, "a number from 1 to 3"},
		"serve with no such":    {[]string{"serve", "--ack=some"}, `"1","2","all"`},
		"restore into a store":  {[]string{"restore", "--data=" + dir, notes}, "no Rollcall backup"},
		"backup without a name": {[]string{"backup"}, "--output"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := node(t, tt.args...).CombinedOutput()
			if err == nil || !strings.Contains(string(text), tt.says) {
				t.Errorf("%v: %s, want %q", err, text, tt.says)
			}
			if left, _ := filepath.Glob(out + "*"); len(left) > 0 {
				t.Errorf("it left %q", left)
			}
		})
	}
}

func TestFsyncFlagHasBothForms(t *testing.T) {
	for args, want := range map[string]bool{"": true, "--fsync": true, "--fsync=false": false, "--no-fsync": false} {
		line := []string{"serve"}
		if args != "" {
			line = append(line, args)
		}
		if c, err := parsed(t, line...); err != nil || c.Serve.Fsync != want {
			t.Errorf("%q gives %v, %v", args, c.Serve.Fsync, err)
		}
	}
	for arg, want := range map[string]int{"1": 1, "2": 2, "all": 0} {
		c, err := parsed(t, "serve", "--ack="+arg)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := c.Serve.ack(); n != want || err != nil {
			t.Errorf("--ack=%s is %d, %v", arg, n, err)
		}
	}
}
