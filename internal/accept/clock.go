package accept

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// clockLua is TIME with a key, so that in a cluster it is the clock that stamps
// come from: that of the queue's node. A bare TIME would go to any node.
const clockLua = `return redis.call('TIME')`

type evaluator interface {
	Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd
}

// askClock sends the question for Redis's time, or adds it to a pipeline.
func askClock(ctx context.Context, rc evaluator) *redis.Cmd {
	return rc.Eval(ctx, clockLua, []string{stampKey})
}

// readClock reads the answer.
func readClock(answer *redis.Cmd) (time.Time, error) {
	parts, err := answer.Int64Slice()
	if err == nil && len(parts) != 2 {
		err = fmt.Errorf("%d values in the reply, want 2", len(parts))
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for Redis's time: %w", err)
	}
	return time.Unix(parts[0], parts[1]*1000), nil
}
