package accept

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/record"
)

// An idempotency key's value is "<operation>:<hash>", for a bulk request
// "<first operation>:<hash>:<operations in each batch>".

// Hash is what tells two requests under one Idempotency-Key apart.
func Hash(method, path string, body []byte) string {
	h := sha256.New()
	_, _ = io.WriteString(h, method+" "+path+"\n")
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

var releaseScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0`)

// release frees an idempotency key if it still holds value.
func (a *Acceptor) release(ctx context.Context, key, value string) error {
	if err := releaseScript.Run(ctx, a.rc, []string{key}, value).Err(); err != nil {
		return fmt.Errorf("release an idempotency key: %w", err)
	}
	return nil
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
