package record

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Operation IDs are UUIDv7s (RFC 9562 §5.7) in canonical lower-case text, so
// that text order is accepted order. Their layout, from the top:
//
//	48 bits  stamp, milliseconds since 1970
//	 4 bits  version 7
//	12 bits  stamp, fraction of the millisecond (§6.2 method 3)
//	 2 bits  variant
//	46 bits  random, drawn once a batch
//	16 bits  index within the batch
//
// A stamp is in microseconds since 1970 and comes from Redis (see accept).

// MaxBatch is how many operations one stamp can name.
const MaxBatch = 1 << 16

var errNotOperationID = errors.New("not an operation ID")

// NewID returns the ID of the index-th operation of the batch that drew stamp
// (µs since 1970) and random (its low 46 bits are used).
func NewID(stamp int64, random uint64, index int) string {
	ms, us := stamp/1000, stamp%1000
	tail := IDTail(random, index)
	return fmt.Sprintf("%08x-%04x-7%03x-%s", ms>>16, ms&0xffff, us*4096/1000, tail)
}

// IDTail returns the last 18 characters of an operation's ID: what does not
// depend on the stamp. The stamp script puts the head before it.
func IDTail(random uint64, index int) string {
	random &= 1<<46 - 1
	return fmt.Sprintf("%04x-%08x%04x", 0x8000|random>>32, random&0xffffffff, index&0xffff)
}

// ParseID checks that s is an operation ID and returns its stamp in µs.
func ParseID(s string) (stamp int64, err error) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' || s[14] != '7' ||
		!strings.ContainsRune("89ab", rune(s[19])) || strings.ToLower(s) != s {
		return 0, errNotOperationID
	}
	if _, err := hex.DecodeString(strings.ReplaceAll(s, "-", "")); err != nil {
		return 0, errNotOperationID
	}
	ms, err := strconv.ParseInt(s[:8]+s[9:13], 16, 64)
	if err != nil {
		return 0, errNotOperationID
	}
	fraction, err := strconv.ParseInt(s[15:18], 16, 64)
	if err != nil {
		return 0, errNotOperationID
	}
	return ms*1000 + (fraction*1000+4095)/4096, nil
}

// BatchID returns the ID of the batch, and so of the task, in which the
// operation id was accepted: id with its index bits zero.
func BatchID(id string) string { return id[:len(id)-4] + "0000" }

// Sibling returns the ID of the index-th operation of the batch whose stamp is
// ahead after that of id, drawn together with it.
func Sibling(id string, ahead, index int) (string, error) {
	stamp, err := ParseID(id)
	if err != nil {
		return "", err
	}
	return NewID(stamp+int64(ahead), 0, 0)[:19] + fmt.Sprintf("%s%04x", id[19:32], index&0xffff), nil
}

// AcceptedAt returns the time in an operation's ID, in UTC; zero if id is none.
func AcceptedAt(id string) time.Time {
	stamp, err := ParseID(id)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMicro(stamp).UTC()
}
