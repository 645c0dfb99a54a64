package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rollcall/cluster/devca"
)

// Certs are the flags of node certs.
type Certs struct {
	Dir     string        `default:"./secrets" help:"Directory of the authority; each node's secrets are made in one of its own below it."`
	Cluster string        `default:"rollcall" help:"Name of the cluster, as nodes are given it."`
	Valid   time.Duration `default:"8760h" help:"How long the nodes' certificates are valid."`
	Nodes   []string      `arg:"" name:"node" help:"Name of a node, with hosts and addresses if other programs shall check them: n1=10.0.0.1,n1.example.com"`
}

// The least and the longest time that certificates are made for.
const (
	shortCerts = time.Hour
	longCerts  = 10 * 365 * 24 * time.Hour
)

// Run makes the secrets and says where they are.
func (c *Certs) Run() error { return c.run(os.Stdout, time.Now()) }

func (c *Certs) run(out io.Writer, now time.Time) error {
	flags := ClusterFlags{Cluster: c.Cluster}
	if err := flags.check(); err != nil {
		return err
	}
	if c.Valid < shortCerts || c.Valid > longCerts {
		return fmt.Errorf("--valid %s: use a time from %s to %s", c.Valid, shortCerts, longCerts)
	}
	r := devca.Request{Dir: c.Dir, Cluster: c.Cluster, Now: now, Valid: c.Valid}
	for _, n := range c.Nodes {
		name, hosts, _ := strings.Cut(n, "=")
		node := devca.Node{Name: name}
		for h := range strings.SplitSeq(hosts, ",") {
			if h != "" {
				node.Hosts = append(node.Hosts, h)
			}
		}
		r.Nodes = append(r.Nodes, node)
	}
	if err := devca.Write(r); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s is the authority of cluster %s: keep ca-key.pem where no node is.\n", c.Dir, c.Cluster)
	for _, n := range r.Nodes {
		fmt.Fprintf(&b, "node %s: copy %s to it, --secrets names the copy; valid until %s\n",
			n.Name, filepath.Join(c.Dir, n.Name), now.Add(c.Valid).UTC().Format(time.DateOnly))
	}
	_, err := io.WriteString(out, b.String())
	return err
}
