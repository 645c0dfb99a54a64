package clustertest

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"rollcall/cluster/devca"
)

// cluster is the nodes of one scenario.
type cluster struct {
	net     *network
	issuer  *issuer
	dir     string
	program string
	name    string
	size    int // nodes that belong to it, as the operator thinks
	http    *http.Client

	roles map[string]string // of nodes that have one only, by name
	disks []string          // directories that are disks of their own

	mu    sync.Mutex
	nodes []*node
}

func newCluster(net *network, dir string) (*cluster, error) {
	path, err := built()
	if err != nil {
		return nil, err
	}
	i, err := newIssuer()
	if err != nil {
		return nil, err
	}
	h := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return &cluster{net: net, issuer: i, dir: dir, program: path, name: "test", http: h, roles: map[string]string{}}, nil
}

// node finds a node by its name, n1, n2 and so on.
func (c *cluster) node(name string) (*node, error) {
	for _, n := range c.nodes {
		if n.name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("there is no node %s", name)
}

// add prepares a node that has not been there.
func (c *cluster) add(name string) (*node, error) {
	i, err := strconv.Atoi(strings.TrimPrefix(name, "n"))
	if err != nil {
		return nil, fmt.Errorf("%s is no name of a node", name)
	}
	n, err := c.prepare(i, name, c.name, c.dir)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.nodes = append(c.nodes, n)
	}
	return n, err
}

// prepare makes place and secrets of a node. Its seeds are all the first nodes
// but itself.
func (c *cluster) prepare(number int, name, label, secrets string) (*node, error) {
	h, err := c.net.host(number)
	if err != nil {
		return nil, err
	}
	if err := c.issuer.serve(h); err != nil {
		return nil, err
	}
	secrets = filepath.Join(secrets, "secrets")
	err = devca.Write(devca.Request{
		Dir: secrets, Cluster: label, Now: time.Now(), Valid: 24 * time.Hour,
		Nodes: []devca.Node{{Name: name, Hosts: []string{h.addr}}},
	})
	if err != nil {
		return nil, err
	}
	n := &node{
		name: name, host: h, log: filepath.Join(c.dir, name+".log"), http: c.http,
		data: filepath.Join(c.dir, name), role: c.roles[name],
	}
	n.args = []string{
		"serve", "--listen", n.address(clientPort), "--admin-listen", n.address(adminPort),
		"--data", n.data, "--issuer", c.issuer.url, "--audience", audience,
		"--max-sockets-per-address", "5000", "--max-handshakes", "5000", "--log", "json",
		"--cluster", label, "--secrets", filepath.Join(secrets, name), "--drain-timeout", drainTime.String(),
		"--gossip-listen", n.address(gossipPort), "--peer-listen", n.address(peerPort),
	}
	if n.role != "" {
		n.args = append(n.args, "--roles", n.role)
	}
	for i := 1; i <= c.size; i++ {
		if i != number {
			n.args = append(n.args, "--join", fmt.Sprintf("%s.%d:%d", c.net.subnet, i, gossipPort))
		}
	}
	return n, nil
}

// drainTime is what a node has for handing over what it holds, when told to end.
const drainTime = 15 * time.Second

// form starts the first nodes and waits until they are one cluster.
func (c *cluster) form(size int) error {
	c.size = size
	for i := 1; i <= size; i++ {
		n, err := c.add("n" + strconv.Itoa(i))
		if err != nil {
			return err
		}
		if err := n.start(c.program); err != nil {
			return err
		}
	}
	return c.agreed(patience)
}

// agreed waits until every node that can be reached is ready, and lists those
// that live and nobody else, and has nothing to hand over any more.
func (c *cluster) agreed(most time.Duration) error {
	return poll(most, func() error {
		live := 0
		for _, n := range c.nodes {
			if n.alive() {
				live++
			}
		}
		for _, n := range c.nodes {
			if !n.reachable() {
				continue
			}
			if err := n.ready(); err != nil {
				return err
			}
			v, err := n.view()
			if err != nil {
				return err
			}
			if got := v.live(); len(got) != live {
				return fmt.Errorf("%s lists %d members, and there are %d: %v", n.name, len(got), live, got)
			}
			n.id = v.Self
			if !v.Shards.Settled {
				return fmt.Errorf("%s has still shards to take or to hand over: %+v", n.name, v.Shards)
			}
		}
		return nil
	})
}

// gateways are the addresses of all nodes that serve clients, in the order in
// which they came.
func (c *cluster) gateways() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []string
	for _, n := range c.nodes {
		if n.role != presenceRole {
			list = append(list, "http://"+n.address(clientPort))
		}
	}
	return list
}

// nameOf is the node with an address of gateways.
func (c *cluster) nameOf(server string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if server == "http://"+n.address(clientPort) {
			return n.name
		}
	}
	return server
}

// reachable are the nodes that can be expected to answer.
func (c *cluster) reachable() []*node {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []*node
	for _, n := range c.nodes {
		if n.reachable() {
			list = append(list, n)
		}
	}
	return list
}

const (
	presenceRole = "presence"
	gatewayRole  = "gateway"
)

// answering are those of them that serve clients.
func (c *cluster) answering() []*node {
	return slices.DeleteFunc(c.reachable(), func(n *node) bool { return n.role == presenceRole })
}

// unlisted waits until no node that can be reached lists any of those any more.
func (c *cluster) unlisted(gone []*node, most time.Duration) error {
	return poll(most, func() error {
		for _, n := range c.nodes {
			if !n.reachable() {
				continue
			}
			v, err := n.view()
			if err != nil {
				return err
			}
			for _, g := range gone {
				if g != n && g.id != "" && slices.Contains(v.live(), g.id) {
					return fmt.Errorf("%s still lists %s", n.name, g.name)
				}
			}
		}
		return nil
	})
}

// poll tries until there is no error, at most for a while.
func poll(most time.Duration, f func() error) error {
	deadline := time.Now().Add(most)
	for {
		err := f()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %w", most, err)
		}
		time.Sleep(pollEvery) // between two looks at a condition with a deadline
	}
}

// close ends every process and takes the places away.
func (c *cluster) close() error {
	var errs []error
	for _, n := range c.nodes {
		if n.alive() {
			_ = n.signal(syscall.SIGKILL) // it may have ended just now
			<-n.end
		}
	}
	errs = append(errs, c.issuer.close(), c.net.clear(), c.unmount())
	c.http.CloseIdleConnections()
	return errors.Join(errs...)
}

// faults are what no log of a node may have.
func (c *cluster) faults() []string {
	var out []string
	for _, n := range c.nodes {
		for _, word := range []string{"panic:", "DATA RACE", "fatal error:"} {
			if n.said(word) {
				out = append(out, fmt.Sprintf("%s: its log has %q: %s", n.name, word, n.tail(3000)))
			}
		}
	}
	return out
}

// keepLogs copies the logs to where the flag says.
func (c *cluster) keepLogs(scenario string) error {
	if *logsTo == "" {
		return nil
	}
	var errs []error
	for _, n := range c.nodes {
		text, err := os.ReadFile(n.log)
		if err == nil {
			err = os.WriteFile(filepath.Join(*logsTo, scenario+"-"+n.name+".log"), text, 0o600)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
