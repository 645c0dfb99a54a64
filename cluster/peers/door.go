package peers

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/keepalive"

	"rollcall/cluster/complaints"
)

const (
	handshakeTime = 5 * time.Second
	keepaliveTime = 10 * time.Second // without traffic, then a ping
	keepaliveWait = 5 * time.Second  // for its answer
	windowBytes   = 4 << 20          // of HTTP/2, so that a full flight never waits for it
	bufferBytes   = 64 << 10
	maxStreams    = 16
)

// remoteConfig hardens protoactor's remote.
func (t *transport) remoteConfig(host string, port int) *remote.Config {
	g := &guard{peers: t.peers, name: t.peers.config.Self.Name()}
	ping := keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveWait, PermitWithoutStream: true}
	c := remote.Configure(host, port,
		remote.WithEndpointWriterBatchSize(maxFlight),
		remote.WithEndpointWriterQueueSize(1024),
		remote.WithServerOptions(
			grpc.Creds(t.door),
			grpc.StreamInterceptor(g.stream), grpc.UnaryInterceptor(g.unary),
			grpc.MaxRecvMsgSize(maxBatch), grpc.MaxConcurrentStreams(maxStreams), grpc.MaxHeaderListSize(16<<10),
			grpc.ConnectionTimeout(handshakeTime), grpc.WaitForHandlers(true),
			grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveWait}),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveTime / 2, PermitWithoutStream: true}),
			grpc.InitialWindowSize(windowBytes), grpc.InitialConnWindowSize(windowBytes),
			grpc.ReadBufferSize(bufferBytes), grpc.WriteBufferSize(bufferBytes)),
		remote.WithDialOptions(
			grpc.WithTransportCredentials(t.door),
			grpc.WithStreamInterceptor(t.streams.intercept),
			grpc.WithKeepaliveParams(ping),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: retryMin, Multiplier: 1.6, Jitter: 0.2, MaxDelay: retryMax},
				MinConnectTimeout: handshakeTime,
			}),
			grpc.WithNoProxy(), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(),
			grpc.WithReadBufferSize(bufferBytes), grpc.WithWriteBufferSize(bufferBytes)))
	c.MaxRetryCount = 1 // the streams try again, without the writer's sleep
	return c
}

// door does the handshake of every connection and counts those that fail.
type door struct {
	credentials.TransportCredentials
	peers *Peers
	once  sync.Once
	used  chan struct{} // closed with the first connection
}

func newDoor(p *Peers) *door {
	inner := insecure.NewCredentials()
	if c := p.config.Credentials; c != nil {
		inner = c.transport()
	}
	return &door{TransportCredentials: inner, peers: p, used: make(chan struct{})}
}

// ServerHandshake is called by gRPC, which gives it handshakeTime. The first
// call sets gRPC's logger, which protoactor has silenced: the server has begun
// and every other use of the logger comes after the handshake.
func (d *door) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	d.once.Do(func() {
		grpclog.SetLoggerV2(&grpcLog{complaints: d.peers.complaints})
		close(d.used)
	})
	conn, info, err := d.TransportCredentials.ServerHandshake(raw)
	if err != nil && !errors.Is(err, io.EOF) {
		d.peers.metrics.refuse("handshake")
		d.peers.complaints.Say(hostOf(raw.RemoteAddr()), "a connection was refused", "err", complaints.Cut(err.Error()))
	}
	return conn, info, err
}

// ClientHandshake is called by gRPC for a connection to a peer.
func (d *door) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := d.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		d.peers.metrics.refuse("handshake")
		d.peers.complaints.Say(raw.RemoteAddr().String(), "another node was not accepted", "err", complaints.Cut(err.Error()))
	}
	return conn, info, err
}

// Clone is part of credentials.TransportCredentials.
func (d *door) Clone() credentials.TransportCredentials { return d }
