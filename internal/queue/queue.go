// Package queue is where asynq's and go-redis's traps live, so that nobody else
// needs to know them: connecting to Redis, enqueuing with an honest answer to
// "did it arrive?", looking a task up, and serving a queue by waiting instead of
// polling. What a task means never enters here, and nothing here does SQL or
// HTTP.
//
// How it serves. asynq polls; its Server takes a redis.UniversalClient, and ours
// (broker) holds an empty answer to asynq's dequeue script until somebody
// publishes that there is work, a second has passed, or Stop is called. The same
// client repeats acknowledgements that failed, and slows down while Redis
// refuses. It knows asynq's scripts by the keys they work on (see script).
package queue

import "errors"

// ErrConflict says that a task of this ID is in the queue already. For an ID
// that the caller made up it means that an earlier try arrived.
var ErrConflict = errors.New("task ID is in the queue already")

// wakePrefix and a queue's name are the Pub/Sub channel on which whoever
// enqueues says so.
const wakePrefix = "waybill:wake:"
