//go:build !linux

package rig

import "syscall"

// dieWithParent has no equivalent outside Linux.
func dieWithParent(*syscall.SysProcAttr) {}
