package app_test

import "syscall"

// dieWithParent ends a process when we end, also if that is by a panic.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
