package app

import "syscall"

// childAttributes put a child into its own process group, so that Ctrl-C reaches
// us first, and end it when we end, however that comes.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
