package target

import "syscall"

// attributes let the child end with us however we end, and keep a Ctrl-C in the
// terminal from it: we tell it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}
