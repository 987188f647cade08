//go:build unix

package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockPatience is how long lockFile waits for a process that is just ending.
const lockPatience = 3 * time.Second

// lockFile takes the lock at path until the file is closed, here and in the
// children that have it, or the processes end.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	deadline := time.Now().Add(lockPatience)
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if errors.Is(err, syscall.EWOULDBLOCK) && time.Now().Before(deadline) && pause(ctx, 20*time.Millisecond) {
			continue
		}
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another waybill up uses this data directory (%s is locked)", path)
		}
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
}
