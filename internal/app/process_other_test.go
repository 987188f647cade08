//go:build !linux

package app_test

import "syscall"

// dieWithParent has no equivalent outside Linux.
func dieWithParent(*syscall.SysProcAttr) {}
