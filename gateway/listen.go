package gateway

import (
	"context"
	"fmt"
	"net"
	"time"
)

// peerTimeout is how long the kernel keeps a connection whose peer does not
// acknowledge what it was sent.
const peerTimeout = 60 * time.Second

// Listen opens a TCP listener whose connections end when the peer's machine is
// gone, also those on which the node only sends.
func Listen(address string) (net.Listener, error) {
	c := net.ListenConfig{Control: peerControl}
	l, err := c.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}
