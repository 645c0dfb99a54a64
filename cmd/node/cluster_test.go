package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/cluster/topology"
	"rollcall/gateway"
)

// seedFile is a file of seeds with the text.
func seedFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "seeds")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func clustered(t *testing.T, args ...string) (*gateway.ClusterConfig, error) {
	t.Helper()
	s, err := flags(t, append([]string{"serve"}, args...)...)
	if err != nil {
		return nil, err
	}
	return s.ClusterFlags.config(t.Context())
}

func TestClusterFlagsAreRefused(t *testing.T) {
	half := t.TempDir()
	if err := os.WriteFile(filepath.Join(half, "ca.pem"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"--zone=a":                                            "--zone belongs to a cluster",
		"--expect=3":                                          "--expect belongs to a cluster",
		"--roles=presence":                                    "--roles belongs to a cluster",
		"--secrets=/x":                                        "--secrets belongs to a cluster",
		"--gossip-listen=7946":                                "not host:port",
		"--gossip-listen=:7946":                               "no address that other nodes can reach",
		"--gossip-listen=0.0.0.0:7946":                        "no address that other nodes can reach",
		"--gossip-listen=[::]:7946":                           "no address that other nodes can reach",
		"--gossip-listen=127.0.0.1:x":                         "the port must be a number",
		"--gossip-listen=127.0.0.1:65536":                     "the port must be a number",
		"--gossip-listen=127.0.0.1:-1":                        "the port must be a number",
		"--gossip-listen=a/b:1":                               "is no host",
		"--gossip-listen=10.0.0.1:7946":                       "needs --secrets",
		"--gossip-listen=127.0.0.1:0 --peer-listen=x":         "--peer-listen",
		"--gossip-listen=127.0.0.1:0 --peer-listen=8.8.8.8:0": "needs --secrets",
		"--peer-listen=0.0.0.0:0":                             "no address that other nodes can reach",
		"--gossip-listen=127.0.0.1:0 --secrets=" + half:       "no node.pem",
		"--gossip-listen=127.0.0.1:0 --secrets=/not/there":    "no ca.pem",
		"--join=nobody":                                       "not host:port",
		"--join=10.0.0.1:0":                                   "from 1 to 65535",
		"--join=0.0.0.0:7946":                                 "no address that other nodes can reach",
		"--join=dns:":                                         "not host:port",
		"--join=dns:nodes.example.com":                        "not host:port",
		"--join=file:":                                        "needs a path",
		"--join=file:/not/there":                              "give --gossip-listen",
		"--join=file:" + seedFile(t, "# none\n\n"):            "names no seed",
		"--join=file:" + seedFile(t, strings.Repeat("x", maxSeedFile+1)):     "64 KiB",
		"--join=127.0.0.1:1 --roles=owner":                                   `no role "owner"`,
		"--join=127.0.0.1:1 --roles=":                                        "without a role",
		"--join=127.0.0.1:1 --roles=gateway,,presence":                       `no role ""`,
		"--join=127.0.0.1:1 --cluster=Berlin":                                "a-z 0-9",
		"--join=127.0.0.1:1 --cluster=":                                      "a-z 0-9",
		"--join=127.0.0.1:1 --cluster=" + strings.Repeat("a", 65):            "1 to 64",
		"--join=127.0.0.1:1 --zone=" + strings.Repeat("a", 33):               "up to 32",
		"--join=127.0.0.1:1 --zone=\x1b[2J":                                  "a-z A-Z 0-9",
		"--join=127.0.0.1:1 --expect=-1":                                     "--expect -1",
		"--join=127.0.0.1:1 --expect=1001":                                   "--expect 1001",
		"--join=127.0.0.1:1 --drain-timeout=-1s":                             "--drain-timeout",
		"--drain-timeout=2h":                                                 "--drain-timeout",
		"--join=" + strings.Repeat("127.0.0.1:1,", maxSeeds) + "127.0.0.1:1": "more than 64",
	} {
		if _, err := clustered(t, strings.Split(args, " ")...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, want %q", args, err, want)
		}
	}
}

func TestClusterFlags(t *testing.T) {
	secrets := filepath.Join(t.TempDir(), "s")
	if err := (&Certs{Dir: secrets, Cluster: "berlin", Valid: time.Hour, Nodes: []string{"n1"}}).run(t.Output(), time.Now()); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]*gateway.ClusterConfig{
		"":                         nil,
		"--cluster=x":              nil,
		"--roles=presence,gateway": nil,
		"--gossip-listen=127.0.0.1:7946": {
			Name: "rollcall", Gossip: "127.0.0.1:7946", Peer: "127.0.0.1:0", Roles: topology.Gateway | topology.Presence,
		},
		"--peer-listen=[::1]:9 --roles=presence --zone=r1 --expect=3 --cluster=a.b-c_1": {
			Name: "a.b-c_1", Gossip: "[::1]:0", Peer: "[::1]:9", Roles: topology.Presence, Zone: "r1", Expect: 3,
		},
		"--join=127.0.0.1:7946": {
			Name: "rollcall", Gossip: "127.0.0.1:0", Peer: "127.0.0.1:0", Roles: topology.Gateway | topology.Presence,
			Join: []string{"127.0.0.1:7946"},
		},
		"--gossip-listen=10.0.0.1:7946 --secrets=" + secrets + "/n1 --cluster=berlin --join=dns:seeds.example:7946,10.0.0.2:7946 --join=file:/x": {
			Name: "berlin", Gossip: "10.0.0.1:7946", Peer: "10.0.0.1:0", Roles: topology.Gateway | topology.Presence,
			Join: []string{"dns:seeds.example:7946", "10.0.0.2:7946", "file:/x"}, Secrets: secrets + "/n1",
		},
	} {
		got, err := clustered(t, strings.Fields(args)...)
		switch {
		case err != nil:
			t.Errorf("%q: %v", args, err)
		case (got == nil) != (want == nil):
			t.Errorf("%q: %+v, want %+v", args, got, want)
		case got != nil && !same(got, want):
			t.Errorf("%q: %+v, want %+v", args, got, want)
		}
	}
}

func same(a, b *gateway.ClusterConfig) bool {
	return a.Name == b.Name && a.Gossip == b.Gossip && a.Peer == b.Peer && a.Roles == b.Roles && a.Zone == b.Zone &&
		a.Expect == b.Expect && a.Secrets == b.Secrets && strings.Join(a.Join, " ") == strings.Join(b.Join, " ")
}

func TestSeedsOfAFileShowTheAddressToListenOn(t *testing.T) {
	for text, want := range map[string]string{
		"# seeds\n\n 127.0.0.1:7946 \n10.0.0.1:7946\n": "127.0.0.1:0",
		"dns:localhost:7946\n":                         "127.0.0.1:0",
	} {
		c, err := clustered(t, "--join=file:"+seedFile(t, text))
		if err != nil || c.Gossip != want || c.Peer != want {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	}
}

func TestGatewayOfAClusterNeedsAnAddressForClients(t *testing.T) {
	for args, want := range map[string]string{
		"":                                "--public-url is needed",
		"--roles=presence":                "",
		"--public-url=https://n1.example": "",
	} {
		args := append(strings.Fields(args), "--listen=0.0.0.0:0", "--join=127.0.0.1:1", "--issuer=https://i", "--audience=a")
		s, err := flags(t, append([]string{"serve"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		c := gateway.Config{}
		if c.Cluster, err = s.ClusterFlags.config(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c.Server, err = s.listen(); err != nil {
			t.Fatal(err)
		}
		err = s.reachable(&c)
		if err2 := closeAll(&c.Server); err2 != nil {
			t.Error(err2)
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}

func TestCerts(t *testing.T) {
	dir := t.TempDir()
	var out strings.Builder
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	c := Certs{Dir: dir, Cluster: "rollcall", Valid: 48 * time.Hour, Nodes: []string{"n1=10.0.0.1,n1.example", "n2"}}
	if err := c.run(&out, now); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ca-key.pem", "node n1: copy " + filepath.Join(dir, "n1"), "2030-01-04"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
	for _, name := range secretFiles {
		if _, err := os.Stat(filepath.Join(dir, "n2", name)); err != nil {
			t.Error(err)
		}
	}
	for want, c := range map[string]Certs{
		"a-z 0-9":            {Dir: dir, Cluster: "A", Valid: time.Hour, Nodes: []string{"n"}},
		"--valid":            {Dir: dir, Cluster: "a", Valid: time.Minute, Nodes: []string{"n"}},
		"use a time from":    {Dir: dir, Cluster: "a", Valid: longCerts + 1, Nodes: []string{"n"}},
		"cannot be the name": {Dir: dir, Cluster: "a", Valid: time.Hour, Nodes: []string{"../n=x"}},
	} {
		if err := c.run(&out, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}
