package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const scratchPrefix = "waybill-testenv-"

// scratch is the directory of one server. One that we made ourselves is locked
// while we live: that is how a later run knows what a killed one left behind.
type scratch struct {
	path string
	lock *os.File // nil: the caller's directory, which stays
}

var sweepOnce sync.Once

// newScratch returns dir, made if need be, or a fresh temporary directory if
// dir is empty.
func newScratch(dir string) (*scratch, error) {
	if dir != "" {
		path, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("server directory: %w", err)
		}
		if err := os.MkdirAll(path, 0o755); err != nil {
			return nil, fmt.Errorf("server directory: %w", err)
		}
		return &scratch{path: path}, nil
	}
	sweepOnce.Do(sweep)
	path, err := os.MkdirTemp("", scratchPrefix)
	if err != nil {
		return nil, fmt.Errorf("server directory: %w", err)
	}
	lock, err := os.Create(lockFile(path))
	if err == nil {
		err = flock(lock)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock server directory: %w", err), os.RemoveAll(path))
	}
	return &scratch{path: path, lock: lock}, nil
}

func (s *scratch) remove() error {
	if s.lock == nil {
		return nil
	}
	return errors.Join(os.RemoveAll(s.path), s.lock.Close())
}

// sweep removes the directories of processes that ended without doing so.
func sweep() {
	const grace = time.Minute // between making a directory and locking it
	found, _ := filepath.Glob(filepath.Join(os.TempDir(), scratchPrefix+"*"))
	for _, path := range found {
		info, err := os.Stat(lockFile(path))
		if err != nil || time.Since(info.ModTime()) < grace {
			continue
		}
		lock, err := os.OpenFile(lockFile(path), os.O_RDWR, 0)
		if err != nil {
			continue // another user's
		}
		if flock(lock) == nil {
			_ = os.RemoveAll(path) // what stays is for the next sweep
		}
		_ = lock.Close()
	}
}

func lockFile(dir string) string { return filepath.Join(dir, "lock") }

func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
