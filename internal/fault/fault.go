// Package fault is the vocabulary of failures. Every error that may reach a
// client, or that decides whether a task is tried again, carries one Kind; the
// mapping from kinds to HTTP lives in httpapi alone. Nothing here does I/O or
// knows about HTTP.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind is a stable, machine-readable error code, as clients see it in the
// `code` of a problem document and in an operation's `error.code`.
type Kind string

// The kinds, in the order of the HTTP contract.
const (
	InvalidJSON          Kind = "invalid_json"
	InvalidParameter     Kind = "invalid_parameter"
	Unauthorized         Kind = "unauthorized"
	Forbidden            Kind = "forbidden"
	UnknownCollection    Kind = "unknown_collection"
	NotFound             Kind = "not_found"
	MethodNotAllowed     Kind = "method_not_allowed"
	Conflict             Kind = "conflict"
	VersionMismatch      Kind = "version_mismatch"
	TooLarge             Kind = "too_large"
	UnsupportedMediaType Kind = "unsupported_media_type"
	InvalidRecord        Kind = "invalid_record"
	IdempotencyMismatch  Kind = "idempotency_mismatch"
	RateLimited          Kind = "rate_limited"
	Internal             Kind = "internal"
	QueueUnavailable     Kind = "queue_unavailable"
	StoreUnavailable     Kind = "store_unavailable"
	Overloaded           Kind = "overloaded"
)

// Item is one thing that is wrong with a request, and where: a dotted path
// such as "body.content", "line[17].text" or "query.limit".
type Item struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

// Error is a failure with a Kind. Detail and Items are written for the client
// and never hold secrets; Cause is for the log alone.
type Error struct {
	Kind       Kind
	Detail     string
	Items      []Item
	RetryAfter time.Duration // 0: the edge chooses
	Cause      error
}

// New returns an Error of kind k whose detail is formatted for the client.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Detail: fmt.Sprintf(format, args...)}
}

// Wrap returns an Error of kind k with a cause that clients never see.
func Wrap(k Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: k, Detail: fmt.Sprintf(format, args...), Cause: cause}
}

// At returns an Error of kind k that concerns the single location given.
func At(k Kind, location, format string, args ...any) *Error {
	message := fmt.Sprintf(format, args...)
	return &Error{Kind: k, Detail: location + ": " + message, Items: []Item{{location, message}}}
}

// Of returns an Error of kind k that concerns all of items, of which there must be
// one.
func Of(k Kind, items []Item) *Error {
	detail := items[0].Location + ": " + items[0].Message
	if more := len(items) - 1; more > 0 {
		detail += fmt.Sprintf(" (and %d more)", more)
	}
	return &Error{Kind: k, Detail: detail, Items: items}
}

func (e *Error) Error() string {
	s := string(e.Kind) + ": " + e.Detail
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Cause }

// KindOf returns the kind of the outermost Error in err's chain; any other
// error is Internal, and a nil error has no kind ("").
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
