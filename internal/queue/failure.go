package queue

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// refusals are the first words of error replies with which Redis refuses a
// command or a script before anything of it has taken effect.
var refusals = []string{
	"OOM", "READONLY", "LOADING", "MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY",
	"NOAUTH", "WRONGPASS", "NOPERM", "NOSCRIPT", "MOVED", "ASK", "max number of clients", // HasErrorPrefix passes over an ERR
}

// Certain reports whether the call that failed with err had certainly no effect
// in Redis: it could not connect, got no connection, or was refused. After any
// other failure (a timeout, a connection cut) it may have had one.
func Certain(err error) bool {
	if e, ok := errors.AsType[*enqueueError](err); ok {
		return e.certain
	}
	var again *maybeTwice
	return !errors.As(err, &again) && (unsent(err) || refused(err))
}

// Full reports whether Redis refused for want of memory.
func Full(err error) bool { return redis.HasErrorPrefix(err, "OOM") }

// unsent says that err came before a byte was sent.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" ||
		errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) || errors.Is(err, redis.ErrClosed)
}

func refused(err error) bool {
	return slices.ContainsFunc(refusals, func(word string) bool { return redis.HasErrorPrefix(err, word) })
}

// passing says that the same call may succeed later.
func passing(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, redis.ErrClosed) {
		return false
	}
	var reply redis.Error
	return refused(err) || !errors.As(err, &reply)
}

// noScript says that a script must be sent whole; asynq then does so.
func noScript(err error) bool { return redis.HasErrorPrefix(err, "NOSCRIPT") }

// sentinelHook makes errors of asking the sentinels for the master look like what
// they are: nothing was sent. Its other methods change nothing.
type sentinelHook struct{}

func (sentinelHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			err = &net.OpError{Op: "dial", Net: network, Err: err}
		}
		return conn, err
	}
}

func (sentinelHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (sentinelHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// maybeTwice marks the failure of a cluster client, which tries other nodes by
// itself and returns only the last try's error: an earlier one may have arrived.
type maybeTwice struct{ err error }

func (e *maybeTwice) Error() string { return e.err.Error() }
func (e *maybeTwice) Unwrap() error { return e.err }

// clusterHook puts that mark on.
type clusterHook struct{}

func (clusterHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (clusterHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err != nil && passing(err) && !noScript(err) {
			err = &maybeTwice{err}
			cmd.SetErr(err)
		}
		return err
	}
}

func (clusterHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if err != nil && passing(err) {
			err = &maybeTwice{err}
		}
		return err
	}
}

// gone says that the task which an acknowledgement names is not in hand.
func gone(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "NOT FOUND")
}
