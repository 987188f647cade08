package rig

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticks is the unit of CPU time in /proc, a constant of Linux.
const ticks = 100 // a second

// Memory returns the process's resident memory in MiB: now, and the most so far.
func (p *Process) Memory() (now, most float64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		return 0, 0, fmt.Errorf("memory of %s: %w", p.Name, err)
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		if name != "VmRSS" && name != "VmHWM" {
			continue
		}
		kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		if err != nil {
			return 0, 0, fmt.Errorf("memory of %s: %w", p.Name, err)
		}
		if name == "VmRSS" {
			now = kib / 1024
		} else {
			most = kib / 1024
		}
	}
	return now, most, nil
}

// Meter tells who used the CPUs.
type Meter struct {
	begin time.Time
	pids  map[string]int
	used  map[string]float64 // CPU seconds at the begin
	busy  float64            // of the whole machine
}

// Usage is a share of CPUs over a while, in cores: 1 is one core all the time.
type Usage map[string]float64

// Elsewhere is the name in a Usage of everything that is not ours. A comparison
// on a machine that is busy elsewhere is worth less.
const Elsewhere = "elsewhere"

// Meter starts to watch the processes, the servers, and the bench itself.
func (r *Rig) Meter(processes ...*Process) *Meter {
	m := &Meter{begin: time.Now(), pids: map[string]int{
		"redis": r.Redis.PID(), "postgres": r.Postgres.PID(), "load": os.Getpid(),
	}}
	for _, p := range processes {
		m.pids[p.Name] = p.PID
	}
	m.used, m.busy = cpuOf(m.pids), machineCPU()
	return m
}

// Read returns the usage since the meter was started.
func (m *Meter) Read() Usage {
	took := time.Since(m.begin).Seconds()
	now, u := cpuOf(m.pids), Usage{}
	elsewhere := machineCPU() - m.busy
	for name, seconds := range now {
		u[name] = (seconds - m.used[name]) / took
		elsewhere -= seconds - m.used[name]
	}
	u[Elsewhere] = max(0, elsewhere/took)
	return u
}

// machineCPU returns the seconds that all CPUs together have been busy.
func machineCPU() float64 {
	stat, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(stat), "\n")
	busy := 0.0
	for i, field := range strings.Fields(line) {
		const idle, ioWait, guest = 4, 5, 9 // guest time is in user's already
		if i > 0 && i != idle && i != ioWait && i < guest {
			n, _ := strconv.ParseFloat(field, 64)
			busy += n / ticks
		}
	}
	return busy
}

// cpuOf returns the CPU seconds that processes and their children, also those
// that have ended, have used so far.
func cpuOf(pids map[string]int) map[string]float64 {
	names := make(map[int]string, len(pids))
	for name, pid := range pids {
		names[pid] = name
	}
	used := make(map[string]float64, len(pids))
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended meanwhile
		}
		// "pid (name) state parent …", where the name may hold anything.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		const parent, own, dead, most = 1, 11, 13, 15
		if len(fields) < most {
			continue
		}
		of, last := names[pid], most
		if of == "" {
			above, _ := strconv.Atoi(fields[parent])
			of, last = names[above], dead
			if of == "load" {
				continue // our children have names of their own
			}
		} else if of == "load" {
			last = dead
		}
		if of == "" {
			continue
		}
		for _, field := range fields[own:last] {
			n, _ := strconv.ParseFloat(field, 64)
			used[of] += n / ticks
		}
	}
	return used
}
