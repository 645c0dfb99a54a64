package gossip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"
)

// tuning is what only tests change.
type tuning struct {
	probe      time.Duration // one member is probed in each
	timeout    time.Duration // of a direct probe
	spread     time.Duration // between rounds of gossip
	debounce   time.Duration // from a change to Changed
	rereadKeys time.Duration
	firstJoin  time.Duration // pause after the first failure to join; it doubles
	lastJoin   time.Duration // and this is its bound
	rejoin     time.Duration // between searches for those out of sight
	lookup     resolver
	seed       uint64 // of the dice; 0: a new one
}

// With these a killed member is known as dead everywhere within 3 s, at 3 and at
// 16 members, mostly in 2 s: a probe fails after 0.25 s, and the suspicion lasts
// 0.75 s, or 0.9 s of 16, if one more member finds the same, and else twice as
// long. The nacks of indirect probes come after twice the timeout: they must
// come before the probe ends, or the prober takes itself for ill. Gossip is quick
// so that a suspect hears of it and refutes it in time.
var tuned = tuning{
	probe: 250 * time.Millisecond, timeout: 110 * time.Millisecond, spread: 50 * time.Millisecond,
	debounce: 100 * time.Millisecond, rereadKeys: 2 * time.Second,
	firstJoin: 250 * time.Millisecond, lastJoin: 5 * time.Second, rejoin: 10 * time.Second,
	lookup: lookup,
}

const (
	suspicionMult    = 3 // as many probes; with 3 members one of the two others has to agree
	suspicionMaxMult = 2 // how much longer a suspicion lasts in which nobody agrees
	spreadTo         = 4 // members in each round
	streamTimeout    = 3 * time.Second
	fullExchange     = 10 * time.Second // between exchanges of all that two members know
)

func (t *tuning) memberlist(at netip.AddrPort) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.BindAddr, c.BindPort = at.Addr().String(), int(at.Port())
	c.AdvertisePort = c.BindPort
	c.ProbeInterval, c.ProbeTimeout, c.GossipInterval = t.probe, t.timeout, t.spread
	c.SuspicionMult, c.SuspicionMaxTimeoutMult = suspicionMult, suspicionMaxMult
	c.GossipNodes = spreadTo
	c.PushPullInterval, c.TCPTimeout = fullExchange, streamTimeout
	c.EnableCompression = false // what is sent is small
	return c
}

// bindTo checks the address of the gossip port and finds the IP behind a name.
func bindTo(bind string, encrypted bool, lookup resolver) (netip.AddrPort, error) {
	var none netip.AddrPort
	name, port, err := net.SplitHostPort(bind)
	if err != nil {
		return none, fmt.Errorf("gossip: the address %q is not host:port: %w", bind, err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return none, fmt.Errorf("gossip: the port in %q must be from 0 to 65535; 0 takes a free one", bind)
	}
	if name == "" {
		return none, fmt.Errorf("gossip: %q is no address that others can reach: give the one of the cluster's network", bind)
	}
	ctx, cancel := context.WithTimeout(context.Background(), streamTimeout)
	defer cancel()
	ips, err := lookup.ips(ctx, name)
	if err != nil || len(ips) == 0 {
		return none, fmt.Errorf("gossip: find the address %q to listen at: %w", bind, err)
	}
	ip := ips[0].Unmap()
	switch {
	case !unicast(ip):
		return none, fmt.Errorf("gossip: %q is no address that others can reach: give the one of the cluster's network", bind)
	case !encrypted && !ip.IsLoopback():
		return none, fmt.Errorf(
			"gossip: %q is not a loopback address: a key file is required (give the directory of secrets that holds gossip.keys)", bind)
	}
	return netip.AddrPortFrom(ip, uint16(number)), nil
}
