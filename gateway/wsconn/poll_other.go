//go:build !linux

package wsconn

import (
	"net"
	"syscall"
)

func pollable(net.Conn) syscall.RawConn { return nil }

// writeNow takes nothing, so that every flush goes through the drain goroutine.
func writeNow(syscall.RawConn, []byte) (int, error) { return 0, nil }

func (c *Conn) receive() error { return c.readBlocking(c.take) }

func (c *Conn) readReady(uintptr) (done bool) { return true }

func (s *socket) read(on func(chunk []byte) bool) error { return s.readBlocking(on) }
