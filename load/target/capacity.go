package target

import (
	"fmt"
	"strings"
)

// Need is what a load test takes of a machine.
type Need struct {
	Sockets  int  // at the same time
	Pairs    int  // of device and watched user
	Users    int  // of the population
	OwnNode  bool // a node runs here as well
	Loopback bool // the targets are on loopback: several source addresses can be used
	Targets  int
	Sources  int // source addresses
}

// Machine is what there is. Zero means not known, and is not checked.
type Machine struct {
	Files     uint64 // descriptors that a process may have, by its hard limit
	Available uint64 // memory, in bytes
	Ports     int    // ephemeral, for each source address and target
	Loopback  int    // addresses that can be used as sources of loopback traffic
}

// What is taken, in bytes, rounded up; measured as docs/loadtest.md says.
const (
	perSocketHere = 24 << 10
	perPairHere   = 14
	perUserHere   = 1 << 10
	base          = 96 << 20
	perSocketNode = 24 << 10
	perPairNode   = 120
	perUserNode   = 4 << 10
	baseNode      = 256 << 20
	spareFiles    = 100
)

// Memory is what the test will use, in bytes, here and in a node of its own.
func (n Need) Memory() uint64 {
	m := base + n.Sockets*perSocketHere + n.Pairs*perPairHere + n.Users*perUserHere
	if n.OwnNode {
		m += baseNode + n.Sockets*perSocketNode + n.Pairs*perPairNode + n.Users*perUserNode
	}
	return uint64(m)
}

// Check lists what the machine has too little of, and what to change, a line
// each; none means that the test fits.
func (n Need) Check(m Machine) []string {
	var out []string
	fewer := func(most int) string { return fmt.Sprintf("or take fewer people: --users %d", max(most, 2)) }
	share := func(sockets int) int { // users that have so many sockets
		return int(float64(n.Users) * float64(max(sockets, 0)) / float64(max(n.Sockets, 1)))
	}
	if want := uint64(n.Sockets + spareFiles); m.Files > 0 && want > m.Files {
		out = append(out, fmt.Sprintf("file descriptors: %d connections need %d, the limit is %d: raise it with `ulimit -Hn %d` "+
			"(as root, or LimitNOFILE= in a systemd unit), %s", n.Sockets, want, m.Files, want, fewer(share(int(m.Files)-spareFiles))))
	}
	if want := n.Memory(); m.Available > 0 && want > m.Available/10*9 {
		out = append(out, fmt.Sprintf("memory: about %s are needed, %s are available: free some, use a bigger machine, %s",
			size(want), size(m.Available), fewer(int(float64(n.Users)*float64(m.Available)*0.9/float64(want)))))
	}
	if per := m.Ports * n.Targets * n.Sources; m.Ports > 0 && n.Sockets > per {
		advice := "widen net.ipv4.ip_local_port_range, name more of the cluster's nodes with --target"
		if n.Loopback && n.Sources < m.Loopback {
			advice += fmt.Sprintf(", use more source addresses: --sources %d", (n.Sockets+m.Ports-1)/m.Ports)
		}
		out = append(out, fmt.Sprintf("ports: %d connections from %d addresses to %d targets, each pair has %d ephemeral ports: %s, %s",
			n.Sockets, n.Sources, n.Targets, m.Ports, advice, fewer(share(per))))
	}
	return out
}

func size(b uint64) string {
	switch {
	case b >= 10<<30:
		return fmt.Sprintf("%d GiB", b>>30)
	case b >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(b)/(1<<30))
	}
	return fmt.Sprintf("%d MiB", b>>20)
}

// meminfo reads MemAvailable, in bytes, 0 where it is not said.
func meminfo(text string) uint64 {
	for line := range strings.Lines(text) {
		var kib uint64
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}
