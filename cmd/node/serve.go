package main

import (
	"context"
	"errors"
	"os"
	"time"
)

// Serve are the flags of a node.
type Serve struct {
	Listen      string   `default:"127.0.0.1:8080" help:"Address that clients connect to."`
	AdminListen string   `default:"127.0.0.1:8081" help:"Address of metrics, profiles and administration; keep it private. Empty: none."`
	Data        string   `default:"./data" help:"Directory of the store."`
	Dev         bool     `help:"Development mode: demo users, and tokens for everybody who asks. The default on a loopback address without --issuer."`
	Issuer      []string `help:"URL of an OpenID Connect issuer whose tokens are believed."`
	Audience    string   `help:"Audience that tokens must be for; required with --issuer."`
	PublicURL   string   `name:"public-url" help:"URL under which clients reach the node. Default: the listening address."`
	Origin      []string `help:"Origin of pages, other than the node's own, that may open sockets, as https://app.example.com."`
	MaxSockets  int      `default:"15000" help:"Sockets and event streams in total."`
	PerAddress  int      `name:"max-sockets-per-address" default:"200" help:"Connections of one source address; raise it behind a proxy."`
	Handshakes  int      `name:"max-handshakes" default:"500" help:"New sockets a second."`
	TLSCert     string   `type:"existingfile" help:"Certificate chain in PEM; with --tls-key the public address speaks TLS."`
	TLSKey      string   `type:"existingfile" help:"Private key in PEM."`
	DevKey      string   `name:"dev-key" placeholder:"FILE" help:"Key of the development mode's tokens; nodes of a cluster that share it accept each other's. Default: beside the data directory, one for all of a cluster there."`
	Log         string   `enum:"text,json" default:"text" help:"Form of the log: text or json."`
	Fsync       bool     `default:"true" negatable:"" help:"Force every group of commits to the disk before it is answered. Without, they survive a crash of the process, not of the machine."`
	Ack         string   `default:"2" enum:"1,2,all" help:"Nodes that must have stored a change before it is answered: 1, 2 or all that hold the user. Fewer where fewer are there."`
	MinCopies   int      `default:"1" help:"Nodes, of those that hold a user, below which changes are refused (503 min_copies): 1 to 3."`
	ResetData   bool     `name:"reset-data" help:"Move a damaged store in the data directory aside and start with an empty one."`

	ClusterFlags `embed:"" group:"Cluster"`
}

// Run serves until the context ends, which SIGTERM and SIGINT do, until the node
// was drained, or until the storage fails.
func (s *Serve) Run(ctx context.Context) error {
	m, err := Start(ctx, s, os.Stderr)
	if err != nil {
		return err
	}
	m.announce(os.Stdout)
	return m.wait(ctx)
}

// wait returns when the node has ended. A member of a cluster hands over what it
// has before.
func (m *Main) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		if !m.drains {
			return m.Close()
		}
		m.node.BeginDrain()
	case <-m.node.Drained():
	case err := <-m.Failed:
		return m.abandon(err)
	}
	select {
	case <-m.node.Drained():
		_, err := m.node.Drain(context.Background(), nil) // is over
		return errors.Join(err, m.Close())
	case err := <-m.Failed:
		return m.abandon(err)
	}
}

// abandonAfter bounds the clean-up after a storage error: its outcome cannot be
// relied on, but the end of the process can.
const abandonAfter = 500 * time.Millisecond

func (m *Main) abandon(err error) error {
	done := make(chan struct{})
	go func() { // ends with the process if not before
		_ = m.Close() // the storage error is the one to tell
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(abandonAfter):
	}
	return err
}
