//go:build unix && !linux

package app

import "syscall"

// childAttributes put a child into its own process group, so that Ctrl-C reaches
// us first. Only Linux can promise that it ends with us.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
