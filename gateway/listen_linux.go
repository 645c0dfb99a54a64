package gateway

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// peerControl sets TCP_USER_TIMEOUT, which accepted connections inherit.
func peerControl(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(peerTimeout.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
