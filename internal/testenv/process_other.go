//go:build unix && !linux

package testenv

import (
	"bytes"
	"fmt"
	"os/exec"
	"syscall"
)

// dieWithParent has no equivalent outside Linux: there a test process that is
// killed leaves its servers running.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}

// processTable lists the processes of the machine from ps.
func processTable() ([]processRow, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,stat=").Output()
	if err != nil {
		return nil, err
	}
	var rows []processRow
	for line := range bytes.Lines(out) {
		var row processRow
		if _, err := fmt.Sscanf(string(line), "%d %d %c", &row.pid, &row.parent, &row.state); err == nil {
			rows = append(rows, row)
		}
	}
	return rows, nil
}
