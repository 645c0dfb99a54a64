package actors

import (
	"slices"
	"strings"
	"time"

	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/presence"
)

// host says which gateway process holds a device's connection: soft state, by
// which a session ends soon after its gateway has died.
type host struct {
	endpoint  string
	gateway   *gateway
	published uint64 // id of the newest publish that was applied
	attached  int64  // unix ms of its connection there, as far as it is known
}

// maxHosts bounds them; the one that came first goes.
const maxHosts = 32

func (u *user) hostOf(endpoint string) *host {
	for i := range u.hosts {
		if u.hosts[i].endpoint == endpoint {
			return &u.hosts[i]
		}
	}
	return nil
}

// hosted says whether a publish is to be applied: not one that was applied
// before, not one that its device's later publish has overtaken on its way
// round, and no lease of a gateway that the device has left.
func (u *user) hosted(m *messages.Publish) bool {
	h := u.hostOf(m.Device)
	if m.Gateway == "" || h == nil {
		return true
	}
	if h.gateway.name != m.Gateway {
		return !onlyLeases(m)
	}
	return m.Id == 0 || m.Id > h.published
}

func onlyLeases(m *messages.Publish) bool {
	return !slices.ContainsFunc(m.Mutations, func(x *messages.Mutation) bool {
		return presence.Op(x.GetOp()) != presence.Lease
	})
}

// host notes where an applied publish came from.
func (u *user) host(m *messages.Publish) {
	if m.Gateway != "" && u.sys.member(m.Gateway) {
		u.hostBy(m.Device, m.Gateway, m.Id)
	}
}

func (u *user) hostBy(endpoint, name string, published uint64) *host {
	h := u.hostOf(endpoint)
	if h == nil {
		if len(u.hosts) == maxHosts {
			u.hosts = slices.Delete(u.hosts, 0, 1)
		}
		u.hosts = append(u.hosts, host{endpoint: strings.Clone(endpoint)})
		h = &u.hosts[len(u.hosts)-1]
	}
	if h.gateway == nil || h.gateway.name != name {
		h.gateway, h.published, h.attached = u.sys.gateways.of(name), 0, 0
	}
	h.published = max(h.published, published)
	return h
}

// attached follows an endpoint to the gateway that holds it now. The one before
// may not know yet that the client is gone.
func (u *user) attached(m *messages.Subscribe) {
	h := u.hostOf(m.Endpoint)
	switch {
	case m.End:
		u.hosts = slices.DeleteFunc(u.hosts, func(h host) bool { return h.endpoint == m.Endpoint })
		return
	case m.Gateway == "" || h != nil && h.gateway.name != m.Gateway && m.Attached < h.attached:
		return // it has come late: the device has left that gateway since
	case h != nil && h.gateway.name != m.Gateway && u.sys.member(h.gateway.name):
		over := &messages.Superseded{User: messages.FromUser(u.id), Endpoint: m.Endpoint}
		if u.sys.node.TellNode(topology.NodeOf(h.gateway.name), over) != nil {
			u.sys.metrics.dropped.Inc() // it finds out when the connection is silent
		}
	}
	u.hostBy(m.Endpoint, m.Gateway, 0).attached = m.Attached
}

// leased says whether an endpoint has a session that lives with it.
func (u *user) leased(endpoint string, now time.Time) bool {
	e, _ := u.record.Get(presence.SessionKey(endpoint))
	s, ok := e.Value.(presence.Session)
	return ok && s.Leased && e.Live(now)
}

// anyLeased says whether any device of the user is there.
func (u *user) anyLeased(now time.Time) bool {
	for _, e := range u.record.Kind(presence.KindSession) {
		if s, ok := e.Value.(presence.Session); ok && s.Leased && e.Live(now) {
			return true
		}
	}
	return false
}

// onGatewaysGone drops what the gateways had registered and gives the devices
// that were connected there the tenant's grace to come back elsewhere.
func (u *user) onGatewaysGone(names []string) {
	u.drop(func(g *gateway) bool { return slices.Contains(names, g.name) })
	now := u.sys.now()
	found := false
	u.hosts = slices.DeleteFunc(u.hosts, func(h host) bool {
		gone := slices.Contains(names, h.gateway.name)
		if gone {
			u.orphan(h.endpoint, now)
			found = true
		}
		return gone
	})
	if found {
		u.settle(now)
	}
}

// orphan leaves a session whose gateway is gone no more than the grace.
func (u *user) orphan(endpoint string, now time.Time) {
	key := presence.SessionKey(endpoint)
	until := now.Add(u.rules().Grace).UnixMilli()
	if e, _ := u.record.Get(key); !u.leased(endpoint, now) || e.Expires <= until {
		return
	}
	stamp := presence.Stamp{Version: u.clock.Next(now), Node: u.sys.seed}
	_, err := u.record.Apply([]presence.Mutation{{Op: presence.Lease, Key: key, Expires: until}}, stamp, now)
	if err != nil {
		u.sys.log.Error("a lease could not be shortened", "error", err)
	}
}
