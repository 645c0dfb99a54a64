package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"rollcall/cluster/complaints"
)

const (
	maxSeeds    = 1000
	maxSeedFile = 64 << 10
)

// seed is a place where members can be found: a host and a port, or a file of
// such.
type seed struct {
	host string // an address or a name, of which every address counts
	port uint16
	file string
}

// parseSeed reads host:port, dns:name:port or file:path.
func parseSeed(s string) (seed, error) {
	if path, ok := strings.CutPrefix(s, "file:"); ok {
		if path == "" {
			return seed{}, errors.New("gossip: file: needs a path")
		}
		return seed{file: path}, nil
	}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(s, "dns:"))
	if err != nil {
		return seed{}, fmt.Errorf("gossip: the seed %q is not host:port, dns:name:port or file:path", complaints.Cut(s))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return seed{}, fmt.Errorf("gossip: the seed %q has no port from 1 to 65535", complaints.Cut(s))
	}
	if ip, err := netip.ParseAddr(host); err == nil && unicast(ip) || err != nil && host != "" && plain(host, 253) {
		return seed{host: host, port: uint16(n)}, nil
	}
	return seed{}, fmt.Errorf("gossip: the seed %q names no host that can be reached", complaints.Cut(s))
}

// resolver turns a name into addresses.
type resolver func(ctx context.Context, name string) ([]netip.Addr, error)

func lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
}

// resolve finds the addresses behind seeds. What it found counts even if there
// is an error.
func (r resolver) resolve(ctx context.Context, seeds []seed) (addrs []netip.AddrPort, err error) {
	var errs []error
	for _, s := range seeds {
		if s.file != "" {
			lines, err := readSeeds(s.file)
			found, more := r.resolve(ctx, lines)
			addrs = append(addrs, found...)
			errs = append(errs, err, more)
			continue
		}
		ips, err := r.ips(ctx, s.host)
		if err != nil {
			errs = append(errs, fmt.Errorf("gossip: the seed %s: %w", s.host, err))
		}
		for _, ip := range ips {
			addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), s.port))
		}
	}
	return addrs[:min(len(addrs), maxSeeds)], errors.Join(errs...)
}

func (r resolver) ips(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	return r(ctx, host)
}

// readSeeds reads a file with a seed on each line; # begins a comment. Lines
// that are no seeds are told by the error and the others count.
func readSeeds(path string) (list []seed, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("gossip: seeds: %w", err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxSeedFile+1))
	if err != nil {
		return nil, fmt.Errorf("gossip: seeds: %w", err)
	}
	if len(b) > maxSeedFile {
		return nil, fmt.Errorf("gossip: the file of seeds %s is larger than %d bytes", path, maxSeedFile)
	}
	var errs []error
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" || len(list) >= maxSeeds {
			continue
		}
		s, err := parseSeed(line)
		if err == nil && s.file != "" {
			err = fmt.Errorf("gossip: the file of seeds %s names another file", path)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, s)
	}
	return list, errors.Join(errs[:min(len(errs), 3)]...)
}
