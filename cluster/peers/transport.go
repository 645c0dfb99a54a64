package peers

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
	"github.com/asynkron/protoactor-go/remote"

	"rollcall/cluster/complaints"
	"rollcall/cluster/topology"
	"rollcall/messages"
)

// transport is protoactor's remote with what was put around it.
type transport struct {
	peers   *Peers
	addr    string
	system  *actor.ActorSystem
	shell   *shell
	streams *streams
	door    *door
	events  *eventstream.Subscription

	stop context.CancelFunc
	done sync.WaitGroup
}

const (
	sweepEvery  = time.Second
	reloadEvery = 5 * time.Second
	closeTime   = 3 * time.Second
)

func openTransport(p *Peers) (*transport, error) {
	c := &p.config
	host, port, err := hostPort(c.Bind)
	if err != nil {
		return nil, fmt.Errorf("peers: the data port's address %q is not host:port: %w", c.Bind, err)
	}
	t := &transport{peers: p, system: c.System}
	t.streams = &streams{open: map[*clientStream]struct{}{}, opened: t.opened, failed: t.failed}
	t.door = newDoor(p)
	c.System.ProcessRegistry.Add(ingress{p}, ingressName)
	if t.shell, err = startShell(c.System, c.Cluster, t.remoteConfig(host, int(port))); err != nil {
		return nil, err
	}
	t.addr = c.System.Address()
	self := c.Self
	self.Addr = t.addr
	t.shell.update([]topology.Member{self})
	t.events = c.System.EventStream.Subscribe(t.event)
	p.wire = wire{deliver: t.deliver, cut: t.cut}
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	t.done.Go(func() { t.sweep(ctx) })
	if err := t.knock(); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// knock connects to the data port once and waits until the door has seen it.
func (t *transport) knock() error {
	conn, err := net.DialTimeout("tcp", t.addr, closeTime)
	if err != nil {
		return fmt.Errorf("peers: the data port %s does not answer: %w", t.addr, err)
	}
	defer func() { _ = conn.Close() }()
	late := time.NewTimer(closeTime)
	defer late.Stop()
	select {
	case <-t.door.used:
		return nil
	case <-late.C:
		return fmt.Errorf("peers: the data port %s does not answer", t.addr)
	}
}

// deliver gives a frame to protoactor's writer for the address, which makes a
// connection if there is none.
func (t *transport) deliver(addr string, f *messages.Frame) {
	t.system.Root.Send(actor.NewPID(addr, ingressName), f)
}

// cut ends the connection to an address.
func (t *transport) cut(addr string) {
	if !t.streams.cut(addr) {
		t.terminate(addr)
	}
}

// terminate makes protoactor forget the endpoint of an address.
func (t *transport) terminate(addr string) {
	t.system.EventStream.Publish(&remote.EndpointTerminatedEvent{Address: addr})
}

func (t *transport) opened(addr string) {
	t.peers.metrics.connections.WithLabelValues("opened").Inc()
	if n := t.peers.roster.Load().byAddr[addr]; n != nil {
		n.out.opened()
	}
}

func (t *transport) failed(addr string, err error) {
	t.peers.metrics.connections.WithLabelValues("lost").Inc()
	t.peers.complaints.Say(addr, "a connection to another node has ended", "err", complaints.Cut(err.Error()))
}

func (t *transport) event(e any) {
	if gone, ok := e.(*remote.EndpointTerminatedEvent); ok {
		if n := t.peers.roster.Load().byAddr[gone.Address]; n != nil {
			n.out.broken()
		}
	}
}

func (t *transport) setMembers(r *roster, list []topology.Member) {
	wanted := make(map[string]string, len(r.byAddr))
	for addr, n := range r.byAddr {
		wanted[addr] = n.member.Name()
	}
	t.streams.want(wanted)
	all := make([]topology.Member, len(list))
	for i, m := range list {
		if m.ID == t.peers.config.Self.ID {
			m.Addr = t.addr
		}
		all[i] = m
	}
	t.shell.update(all)
}

// sweep ends writers that are left over and looks after the certificates.
func (t *transport) sweep(ctx context.Context) {
	for reload := reloadEvery; pause(ctx, sweepEvery); reload -= sweepEvery {
		addrs, _ := t.streams.leftover()
		for _, addr := range addrs {
			t.terminate(addr)
		}
		if reload <= 0 && t.peers.config.Credentials != nil {
			t.peers.config.Credentials.Reload()
			reload = reloadEvery
		}
	}
}

// close ends the writers, then the server.
func (t *transport) close() {
	t.stop()
	t.done.Wait()
	t.streams.want(nil)
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	for quiet := 0; quiet < 5; quiet++ { // a writer may just be beginning
		addrs, open := t.streams.leftover()
		for _, addr := range addrs {
			t.terminate(addr)
		}
		if open > 0 {
			quiet = 0
		}
		if !pause(ctx, 10*time.Millisecond) {
			break
		}
	}
	t.system.EventStream.Unsubscribe(t.events)
	t.shell.close()
	t.system.ProcessRegistry.Remove(actor.NewPID(t.addr, ingressName))
}

// validBind checks the address of the data port.
func validBind(bind string, secure bool) error {
	host, _, err := net.SplitHostPort(bind)
	if err != nil {
		return fmt.Errorf("peers: the data port's address %q is not host:port: %w", bind, err)
	}
	ip := net.ParseIP(host)
	switch {
	case host == "" || ip != nil && ip.IsUnspecified():
		return fmt.Errorf("peers: %q is no address that others can reach: give the one of the cluster's network", bind)
	case !secure && host != "localhost" && (ip == nil || !ip.IsLoopback()):
		return fmt.Errorf("peers: %q is not a loopback address: certificates are required (give a directory of secrets)", bind)
	}
	return nil
}

// validCluster checks a name that is part of an identity in certificates.
func validCluster(name string) error {
	if name == "" || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
		return fmt.Errorf("peers: the cluster's name %q must be 1 to 64 of a-z 0-9 . - _", complaints.Cut(name))
	}
	return nil
}
