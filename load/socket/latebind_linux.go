package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// latePort lets the kernel choose the port when it knows the target, so that a
// source address has all its ports for each target. It is a wish: without it
// there are fewer ports.
func latePort(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) // a wish
	})
}
