package identity

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/gateway/auth"
	"rollcall/gateway/auth/devissuer"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),  // of http.DefaultClient,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop")) // kept for the next request
}

func needs(n int) Needs { return Needs{Seed: 9, Tenant: make([]int32, n)} }

func TestANodeBelievesTheIssuer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	key, err := LoadKey(file, true)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadKey(file, false)
	if err != nil || !again.Equal(key) {
		t.Fatalf("the key was not kept: %v", err)
	}
	s, err := ServeKey("127.0.0.1:0", key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	v, err := auth.New(t.Context(), auth.Config{Issuers: []string{s.URL}, Audience: Audience})
	if err != nil {
		t.Fatal(err)
	}
	n := Needs{Seed: 1, Tenant: []int32{0, 0, 1}}
	i := NewIssuer(s.URL, again, n)
	for u, want := range i.Users() {
		token, err := i.Token(t.Context(), int32(u))
		if err != nil {
			t.Fatal(err)
		}
		id, err := v.Verify(t.Context(), token)
		if err != nil || id.User.MRI != want.MRI || id.Tenant.String() != want.Tenant {
			t.Errorf("user %d is %+v: %v", u, id, err)
		}
		if u, _, err := claims(token); err != nil || u != want {
			t.Errorf("claims say %v, %v", u, err)
		}
	}
	admin, err := i.Administrator(i.Users()[0].Tenant)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := v.Verify(t.Context(), admin); err != nil || !id.Application || id.Scopes != auth.PolicyWrite {
		t.Errorf("administrator is %+v: %v", id, err)
	}
	a, b := i.Users()[0], i.Users()[2]
	if a.Seen(a.Tenant) != a.MRI || a.Seen(b.Tenant) != a.Tenant+"/"+a.MRI || a.Tenant == b.Tenant {
		t.Errorf("%v is called %s at home and %s elsewhere", a, a.Seen(a.Tenant), a.Seen(b.Tenant))
	}
}

func TestMadeUpUsers(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(3) {
		for _, u := range (Needs{Seed: seed, Tenant: make([]int32, 100)}).made() {
			if seen[u.MRI] {
				t.Fatalf("%s twice", u.MRI)
			}
			seen[u.MRI] = true
		}
	}
}

func TestKeysThatAreNone(t *testing.T) {
	if _, err := LoadKey(filepath.Join(t.TempDir(), "none"), false); err == nil || !strings.Contains(err.Error(), "loadtest issuer makes one") {
		t.Errorf("a missing key: %v", err)
	}
	if _, err := LoadKey("identity_test.go", false); err == nil || !strings.Contains(err.Error(), "no key") {
		t.Errorf("this file as a key: %v", err)
	}
}

func TestDev(t *testing.T) {
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	defer s.Close()
	i, err := devissuer.New(devissuer.Config{URL: s.URL + "/dev", Audience: "x"})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/dev/", i.Handler())
	d, err := NewDev(t.Context(), s.URL, needs(4))
	if err != nil {
		t.Fatal(err)
	}
	if u := d.Users(); len(u) != DemoUsers || u[0].Tenant == u[3].Tenant || u[0].MRI != "8:orgid:"+devissuer.Demo[0].ID {
		t.Errorf("users %v", u)
	}
	a, err := d.Token(t.Context(), 0)
	b, err2 := d.Token(t.Context(), 0)
	if err != nil || err2 != nil || a != b {
		t.Errorf("a fresh token is asked for again: %v %v", err, err2)
	}
	if _, err := NewDev(t.Context(), s.URL, needs(5)); !errors.Is(err, ErrFew) || !strings.Contains(err.Error(), "--users 4") {
		t.Errorf("five users: %v", err)
	}
	if _, err := NewDev(t.Context(), s.URL+"/v1", needs(1)); err == nil || !strings.Contains(err.Error(), "no node in development mode") {
		t.Errorf("no development node: %v", err)
	}
}

func TestCommand(t *testing.T) {
	i := NewIssuer("http://127.0.0.1:1", mustKey(t), needs(3))
	var tokens []string
	for u := range int32(3) {
		token, err := i.Token(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	print := "printf '%s\\n' " + strings.Join(tokens, " ")
	c, err := RunCommand(t.Context(), "wc -l >&2; "+print, needs(3))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := c.Token(t.Context(), 2); got != tokens[2] || c.Users()[2] != i.Users()[2] || time.Until(c.Ends()) < time.Hour {
		t.Errorf("users %v until %s", c.Users(), c.Ends())
	}
	for command, want := range map[string]string{
		print:                             "too few identities: 3 tokens for 4 users",
		print + " " + tokens[1]:           "line 4 of its output: a token of the same user as line 2",
		"echo no-token":                   "line 1 of its output: no token",
		"echo a.b!.c":                     "no base64url",
		"echo a.e30.c":                    "tid names no tenant",
		"exit 3":                          "exit status 3",
		"head -c 200000 /dev/zero; echo ": "token too long",
	} {
		if _, err := RunCommand(t.Context(), command, needs(4)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", command, err, want)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := RunCommand(ended, "sleep 60", needs(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func mustKey(t *testing.T) []byte {
	t.Helper()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}
