package main

import (
	"fmt"
	"io"
	"strings"

	"rollcall/cluster/topology"
)

// announce tells a person where to go. A node without a terminal serves as well.
func (m *Main) announce(w io.Writer) {
	var b strings.Builder
	member, clustered := m.node.Membership()
	serves := !clustered || member.Roles&topology.Gateway != 0
	if m.dev && serves {
		b.WriteString("\n  DEVELOPMENT MODE: everybody on this machine can be anybody. Never expose it.\n\n")
	}
	switch {
	case !serves:
		fmt.Fprintf(&b, "rollcall keeps presence for the gateways of cluster %s; %s serves /livez and /readyz\n", member.Cluster, m.URL)
	case m.dev:
		fmt.Fprintf(&b, "  Page     %[1]s/\n  Token    node token --server %[1]s --user alice\n", m.URL)
	default:
		fmt.Fprintf(&b, "rollcall serves %s\n", m.URL)
	}
	if clustered {
		fmt.Fprintf(&b, "  Node     %s of cluster %s, gossip %s, peers %s\n", member.ID, member.Cluster, member.Gossip, member.Peer)
		fmt.Fprintf(&b, "  Another  node --join %s%s\n", member.Gossip, m.besides())
		if m.Admin != "" {
			fmt.Fprintf(&b, "  Members  node members --admin %s\n", m.Admin)
		}
	}
	if m.dev && serves {
		b.WriteString("\n")
	}
	_, _ = io.WriteString(w, b.String())
}

// besides are the flags, beyond --join, of another node for development on this
// machine.
func (m *Main) besides() string {
	if !m.dev {
		return " ..."
	}
	return " --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --data data2"
}
