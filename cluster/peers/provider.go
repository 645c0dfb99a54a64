package peers

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	proto "github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/remote"

	"rollcall/cluster/topology"
)

// shell is protoactor's cluster, of which only the list of members and Request
// are used. Its own gossip is put to sleep.
//
// It is never asked to shut down: that would close the actor system, which
// belongs to the node, sleep for two seconds and panic the second time. What it
// has started is ended by close.
type shell struct {
	cluster *proto.Cluster
	started chan struct{} // closed when StartMember, which sleeps for a second at its end, has returned
	joins   map[string]uint64
	count   uint64
}

// asleep is the interval of protoactor's gossip; 0 would crash it.
const asleep = 24 * time.Hour

// provider hands protoactor's cluster to whoever starts it, who keeps its list
// of members up to date.
type provider struct {
	ready chan *proto.Cluster
}

var _ proto.ClusterProvider = provider{}

// StartMember is called once protoactor's remote is up.
func (p provider) StartMember(c *proto.Cluster) error {
	p.ready <- c
	return nil
}

// StartClient is not supported: a client of protoactor's cannot be ended.
func (provider) StartClient(*proto.Cluster) error {
	return errors.New("peers: a node is always a member")
}

// Shutdown has nothing to end.
func (provider) Shutdown(bool) error { return nil }

// startShell starts protoactor's remote and cluster. protoactor reports errors
// by panics.
func startShell(system *actor.ActorSystem, name string, rc *remote.Config) (*shell, error) {
	nobody := actor.PropsFromFunc(func(actor.Context) {})
	config := proto.Configure(name, provider{make(chan *proto.Cluster, 1)}, lookup{}, rc,
		proto.WithKinds(&proto.Kind{Kind: "user", Props: nobody}, &proto.Kind{Kind: "tenant", Props: nobody}),
		proto.WithHeartbeatExpiration(asleep))
	config.GossipInterval = asleep
	s := &shell{started: make(chan struct{}), joins: map[string]uint64{}}
	ready := config.ClusterProvider.(provider).ready
	failed := make(chan error, 1)
	go func() {
		defer close(s.started)
		defer func() {
			if r := recover(); r != nil {
				failed <- fmt.Errorf("peers: open the data port %s: %v", rc.Address(), r)
			}
		}()
		proto.New(system, config).StartMember()
	}()
	select {
	case s.cluster = <-ready:
		return s, nil
	case err := <-failed:
		<-s.started
		return nil, err
	}
}

// update gives protoactor the list of members. It shuts out for good an id that
// has left, so a member that comes back needs another one: its name and the
// number of its joining.
func (s *shell) update(list []topology.Member) {
	all := make(proto.Members, 0, len(list))
	joins := make(map[string]uint64, len(list))
	for i := range list {
		m := &list[i]
		name := m.Name()
		n, known := s.joins[name]
		if !known {
			s.count++
			n = s.count
		}
		joins[name] = n
		host, port, err := hostPort(m.Addr)
		if err != nil {
			continue
		}
		all = append(all, &proto.Member{
			Id: name + "#" + strconv.FormatUint(n, 10), Host: host, Port: port, Kinds: kinds(m),
		})
	}
	s.joins = joins
	s.cluster.MemberList.UpdateClusterTopology(all)
}

func kinds(m *topology.Member) []string {
	if m.Roles&topology.Presence == 0 {
		return nil
	}
	return []string{"user", "tenant"}
}

// hostPort splits an address so that protoactor puts it together again as it
// was.
func hostPort(addr string) (host string, port int32, err error) {
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("peers: port of %q: %w", addr, err)
	}
	return addr[:len(addr)-len(p)-1], int32(n), nil
}

// close ends protoactor's gossip, its gRPC server, and waits for StartMember.
// The server's readers have returned when it does.
func (s *shell) close() {
	s.cluster.Gossip.Shutdown()
	s.cluster.Remote.Shutdown(false)
	<-s.started
}
