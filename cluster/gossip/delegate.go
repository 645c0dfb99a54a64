package gossip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"

	"rollcall/cluster/complaints"
	"rollcall/cluster/topology"
)

var (
	errVersion = errors.New("its version of memberlist cannot be spoken with")
	errAddress = errors.New("no member can be reached there")
	errName    = errors.New("its name is not that of its description")
)

// delegate is what memberlist calls, mostly under its locks: nothing here calls
// memberlist or waits.
type delegate struct{ g *Gossip }

// NotifyAlive is part of memberlist.AliveDelegate: an error refuses a member.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	_, err := d.admit(n)
	if err != nil {
		d.g.refuse(n.Addr.String(), reasonOf(err), fmt.Sprintf("member %q: %v", complaints.Cut(n.Name), err))
	}
	return err
}

// NotifyMerge is part of memberlist.MergeDelegate. A list with some members that
// are refused is taken for the others; one without any other is no cluster to
// join.
func (d delegate) NotifyMerge(nodes []*memberlist.Node) error {
	var refused error
	for _, n := range nodes {
		if n.State != memberlist.StateAlive {
			continue
		}
		_, err := d.admit(n)
		if err == nil {
			return nil
		}
		refused = err
	}
	return refused
}

func (d delegate) admit(n *memberlist.Node) (topology.Member, error) {
	ip, ok := netip.AddrFromSlice(n.Addr)
	switch {
	case !ok || !unicast(ip.Unmap()) || n.Port == 0:
		return topology.Member{}, errAddress
	case n.PMin == 0 || n.PMin > n.PCur || n.PCur > n.PMax || n.PCur != memberlist.ProtocolVersion2Compatible,
		n.DMin != 0, n.DCur != 0:
		return topology.Member{}, errVersion // taken in, it would stop all merges
	}
	m, ok := d.g.roster.same(n.Name, n.Meta)
	if !ok {
		var err error
		if m, err = decode(d.g.config.Cluster, n.Meta); err != nil {
			return m, err
		}
	}
	if m.Name() != n.Name {
		return m, errName
	}
	return m, d.g.roster.room(n.Name)
}

func reasonOf(err error) string {
	switch {
	case errors.Is(err, errCluster):
		return reasonCluster
	case errors.Is(err, errProtocol), errors.Is(err, errVersion):
		return reasonProtocol
	case errors.Is(err, errAddress):
		return reasonAddress
	case errors.Is(err, errFull):
		return reasonFull
	}
	return reasonMeta
}

// NotifyConflict is part of memberlist.ConflictDelegate.
func (d delegate) NotifyConflict(_, other *memberlist.Node) {
	d.g.refuse(other.Addr.String(), reasonConflict,
		fmt.Sprintf("%q is the name of a member at another address", complaints.Cut(other.Name)))
}

// NotifyJoin is part of memberlist.EventDelegate.
func (d delegate) NotifyJoin(n *memberlist.Node) { d.NotifyUpdate(n) }

// NotifyUpdate is part of memberlist.EventDelegate.
func (d delegate) NotifyUpdate(n *memberlist.Node) {
	if n.Name == d.g.name {
		return
	}
	m, err := decode(d.g.config.Cluster, n.Meta) // as NotifyAlive did
	if err != nil {
		return
	}
	d.g.roster.seen(m, net.JoinHostPort(n.Addr.String(), strconv.Itoa(int(n.Port))), n.Meta)
	d.g.joined.Store(true)
	d.g.touch()
}

// NotifyLeave is part of memberlist.EventDelegate.
func (d delegate) NotifyLeave(n *memberlist.Node) {
	if was, ok := d.g.roster.lost(n.Name); ok {
		d.g.metrics.gone.WithLabelValues(string(was.State)).Inc()
		d.g.config.Log.Info("a member is gone", "member", was.ID, "state", was.State, "addr", was.Addr)
		d.g.touch()
	}
}

// NotifyPingComplete is part of memberlist.PingDelegate.
func (d delegate) NotifyPingComplete(n *memberlist.Node, _ time.Duration, _ []byte) {
	d.g.roster.answered(n.Name, true)
}

// AckPayload is part of memberlist.PingDelegate.
func (delegate) AckPayload() []byte { return nil }

// NodeMeta is part of memberlist.Delegate.
func (d delegate) NodeMeta(int) []byte { return d.g.roster.description() }

// NotifyMsg is part of memberlist.Delegate: there are no messages.
func (delegate) NotifyMsg([]byte) {}

// GetBroadcasts is part of memberlist.Delegate: there are none.
func (delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState is part of memberlist.Delegate: there is none.
func (delegate) LocalState(bool) []byte { return nil }

// MergeRemoteState is part of memberlist.Delegate: there is none.
func (delegate) MergeRemoteState([]byte, bool) {}
