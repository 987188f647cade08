package testenv

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

func dieWithParent(a *syscall.SysProcAttr, sig syscall.Signal) { a.Pdeathsig = sig }

// processTable lists the processes of the machine from /proc.
func processTable() ([]processRow, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var rows []processRow
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended meanwhile
		}
		row := processRow{pid: pid}
		// "pid (name) state parent …", where the name may hold anything.
		rest := stat[bytes.LastIndexByte(stat, ')')+1:]
		if _, err := fmt.Sscanf(string(rest), " %c %d", &row.state, &row.parent); err == nil {
			rows = append(rows, row)
		}
	}
	return rows, nil
}
