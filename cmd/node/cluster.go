package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"rollcall/gateway"
)

// ClusterFlags make a node a member of a cluster. Without --gossip-listen,
// --peer-listen and --join it is alone.
type ClusterFlags struct {
	GossipListen string        `placeholder:"HOST:PORT" help:"Address of the cluster's membership, UDP and TCP. This, --peer-listen or --join makes the node part of a cluster."`
	PeerListen   string        `placeholder:"HOST:PORT" help:"Address of the traffic between nodes. Default: a free port beside --gossip-listen."`
	Join         []string      `placeholder:"SEED" help:"Gossip address of a node of the cluster, as 10.0.0.1:7946, dns:nodes.example.com:7946, or file:PATH with one a line. May be repeated."`
	Cluster      string        `default:"rollcall" help:"Name of the cluster; nodes of another are refused."`
	Roles        []string      `default:"gateway,presence" help:"What the node does: gateway serves clients, presence keeps users."`
	Zone         string        `help:"Where the node is, as a rack or a data centre; copies of a user go to different zones."`
	Secrets      string        `placeholder:"DIR" help:"Certificates and gossip keys, as node certs makes them. Without them a cluster keeps to loopback addresses."`
	Expect       int           `help:"Members, this one included, below which the node is not ready, as 2 of 3; with all of them one dead node makes every other unready. Default: no such bound."`
	DrainTimeout time.Duration `default:"30s" help:"How long the node hands over its users and clients before it ends."`
}

const (
	maxExpect = 1000
	maxZone   = 32
	maxSeeds  = 64
	maxDrain  = time.Hour
	nameBytes = "abcdefghijklmnopqrstuvwxyz0123456789.-_"
)

// wanted says whether the flags ask for a cluster.
func (f *ClusterFlags) wanted() bool {
	return f.GossipListen != "" || f.PeerListen != "" || len(f.Join) > 0
}

// config checks the flags; nil without an error is a node that is alone.
func (f *ClusterFlags) config(ctx context.Context) (*gateway.ClusterConfig, error) {
	if f.DrainTimeout < 0 || f.DrainTimeout > maxDrain {
		return nil, fmt.Errorf("--drain-timeout %s: use a time from 0s to %s", f.DrainTimeout, maxDrain)
	}
	roles, err := gateway.ParseRoles(f.Roles)
	if err != nil {
		return nil, fmt.Errorf("--roles: %w", err)
	}
	if !f.wanted() {
		return nil, f.alone()
	}
	c := &gateway.ClusterConfig{
		Name: f.Cluster, Gossip: f.GossipListen, Peer: f.PeerListen, Secrets: f.Secrets, Join: f.Join,
		Expect: f.Expect, Roles: roles, Zone: f.Zone,
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	if err := f.addresses(ctx, c); err != nil {
		return nil, err
	}
	return c, f.checkSecrets(c)
}

// alone refuses what means nothing without a cluster.
func (f *ClusterFlags) alone() error {
	flag := ""
	switch {
	case f.Zone != "":
		flag = "--zone"
	case f.Secrets != "":
		flag = "--secrets"
	case f.Expect != 0:
		flag = "--expect"
	case len(f.Roles) == 1:
		flag = "--roles"
	default:
		return nil
	}
	return fmt.Errorf("%s belongs to a cluster: give --gossip-listen or --join as well", flag)
}

func (f *ClusterFlags) check() error {
	if f.Cluster == "" || len(f.Cluster) > 64 || strings.Trim(f.Cluster, nameBytes) != "" {
		return fmt.Errorf("--cluster %q: use 1 to 64 of a-z 0-9 . - _", f.Cluster)
	}
	if f.Expect < 0 || f.Expect > maxExpect {
		return fmt.Errorf("--expect %d: use a number of members from 0 to %d", f.Expect, maxExpect)
	}
	if len(f.Zone) > maxZone || strings.Trim(strings.ToLower(f.Zone), nameBytes) != "" {
		return fmt.Errorf("--zone %q: use up to %d of a-z A-Z 0-9 . - _", f.Zone, maxZone)
	}
	if len(f.Join) > maxSeeds {
		return fmt.Errorf("--join: %d seeds are more than %d: name some, or use dns: or file: instead", len(f.Join), maxSeeds)
	}
	for _, seed := range f.Join {
		if err := checkSeed(seed); err != nil {
			return err
		}
	}
	return nil
}

// checkSeed checks the form of a seed; whether anybody is there, joining finds
// out, again and again.
func checkSeed(seed string) error {
	if path, ok := strings.CutPrefix(seed, "file:"); ok {
		if path == "" {
			return errors.New("--join file: needs a path, as file:/etc/rollcall/seeds")
		}
		return nil
	}
	return checkAddress("--join", strings.TrimPrefix(seed, "dns:"), 1)
}

// checkAddress refuses what other nodes could not reach.
func checkAddress(flag, address string, leastPort int) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s %q is not host:port, as 10.0.0.1:7946", flag, address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || int(n) < leastPort {
		return fmt.Errorf("%s %q: the port must be a number from %d to 65535", flag, address, leastPort)
	}
	ip := net.ParseIP(host)
	if host == "" || ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("%s %q is no address that other nodes can reach: give this machine's address in the cluster's network", flag, address)
	}
	if strings.ContainsAny(host, "/ \t\n") {
		return fmt.Errorf("%s %q: %q is no host", flag, address, host)
	}
	return nil
}

// addresses sets where the node listens. What is not given is a free port on
// the address that is, or on the one that routes to the first seed.
func (f *ClusterFlags) addresses(ctx context.Context, c *gateway.ClusterConfig) error {
	if c.Gossip == "" && c.Peer == "" {
		host, err := towards(ctx, f.Join)
		if err != nil {
			return err
		}
		c.Gossip = net.JoinHostPort(host, "0")
	}
	for _, a := range []struct {
		flag         string
		value, other *string
	}{{"--gossip-listen", &c.Gossip, &c.Peer}, {"--peer-listen", &c.Peer, &c.Gossip}} {
		if *a.value == "" {
			host, _, _ := net.SplitHostPort(*a.other) // "" is refused below
			*a.value = net.JoinHostPort(host, "0")
		}
		if err := checkAddress(a.flag, *a.value, 0); err != nil {
			return err
		}
	}
	return nil
}

const lookupTime = 5 * time.Second

// towards is the local address from which packets go to the first seed that can
// be resolved. Nothing is sent.
func towards(ctx context.Context, seeds []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	var failed error
	for _, seed := range seeds {
		address, err := seedAddress(seed)
		if err == nil {
			var d net.Dialer
			var conn net.Conn
			if conn, err = d.DialContext(ctx, "udp", address); err == nil {
				host, _, err := net.SplitHostPort(conn.LocalAddr().String())
				return host, errors.Join(err, conn.Close())
			}
		}
		failed = errors.Join(failed, err)
	}
	return "", fmt.Errorf("no seed shows which address of this machine others reach: give --gossip-listen (%w)", failed)
}

// maxSeedFile bounds a file of seeds.
const maxSeedFile = 64 << 10

// seedAddress is a host:port that a seed stands for.
func seedAddress(seed string) (string, error) {
	path, ok := strings.CutPrefix(seed, "file:")
	if !ok {
		return strings.TrimPrefix(seed, "dns:"), nil
	}
	if info, err := os.Stat(path); err != nil || info.Size() > maxSeedFile {
		return "", errors.Join(err, fmt.Errorf("--join file:%s: it must be a file of up to 64 KiB", path))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return strings.TrimPrefix(line, "dns:"), nil
		}
	}
	return "", fmt.Errorf("--join file:%s names no seed", path)
}

// secretFiles are what a directory of secrets must have.
var secretFiles = []string{"ca.pem", "node.pem", "node-key.pem", "gossip.keys"}

// checkSecrets demands encryption beyond this machine.
func (f *ClusterFlags) checkSecrets(c *gateway.ClusterConfig) error {
	if c.Secrets == "" {
		for _, address := range []string{c.Gossip, c.Peer} {
			if !loopback(address) {
				return fmt.Errorf("%s is not a loopback address, so the cluster needs --secrets: make them with node certs", address)
			}
		}
		return nil
	}
	for _, name := range secretFiles {
		if _, err := os.Stat(filepath.Join(c.Secrets, name)); err != nil {
			return fmt.Errorf("--secrets %s has no %s, make it with node certs: %w", c.Secrets, name, err)
		}
	}
	return nil
}
