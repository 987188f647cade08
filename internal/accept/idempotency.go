package accept

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"time"

	"github.com/waybill-dev/waybill/internal/record"
)

// An idempotency key's value is "<operation>:<hash>", for a bulk request
// "<first operation>:<hash>:<operations in each batch>".

// A key is never released. Whoever repeats takes over the operation that it
// names, as long as that keeps its place among the writes to its record: for
// young after its stamp. Later, if nobody has it (which takes as long as a call
// to Redis, so there is a moment when nobody can tell), it is spent, and the
// repeat gets a new ID: apply will have passed the old one over (its Stale is
// longer than both).
const (
	young = 25 * time.Second
	spent = 30 * time.Second
)

// Hash is what tells two requests under one Idempotency-Key apart. condition is
// the precondition that the write depends on, "" for none.
func Hash(method, path, condition string, body []byte) string {
	h := sha256.New()
	_, _ = io.WriteString(h, method+" "+path+"\n"+condition+"\n")
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// known says whether the store has all of operations, if it answers soon.
func (a *Acceptor) known(ctx context.Context, operations []record.Operation) bool {
	keys := make([]record.OperationKey, len(operations))
	for i := range operations {
		keys[i] = record.OperationKey{Tenant: operations[i].Tenant, ID: operations[i].ID}
	}
	ctx, cancel := context.WithTimeout(ctx, askStore)
	defer cancel()
	known, err := a.store.Known(ctx, keys)
	if err != nil {
		return false // enqueueing what is stored already is harmless, not enqueueing is not
	}
	for _, k := range keys {
		if !known[k.ID] {
			return false
		}
	}
	return true
}
