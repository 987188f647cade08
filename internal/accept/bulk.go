package accept

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
)

// Bulk is many creates in one request, of one tenant and principal.
type Bulk struct {
	Operations     []record.Operation // without IDs, tenant and writer: SubmitBulk fills them in
	Tenant         string
	Principal      string
	Admin          bool
	IdempotencyKey string
	Hash           string
	Trace          record.Trace // what all of them are caused by
}

// SubmitBulk accepts all of b, in as many batches as it takes, whose consecutive
// stamps, and so all IDs, are drawn and reserved before the first is enqueued.
// After a QueueUnavailable some may be in; a repeat under the same key is
// harmless.
func (a *Acceptor) SubmitBulk(ctx context.Context, b *Bulk) (replayed bool, err error) {
	if a.o.Tracer != nil {
		return a.submitBulkTraced(ctx, b)
	}
	return a.submitBulk(ctx, b)
}

func (a *Acceptor) submitBulk(ctx context.Context, b *Bulk) (replayed bool, err error) {
	if err := a.admit(); err != nil {
		return false, err
	}
	sizes := split(b.Operations)
	first, replayed, err := a.reserve(ctx, b, &sizes)
	if err != nil {
		return false, err
	}
	rest := b.Operations
	for i, size := range sizes {
		batch := rest[:size]
		rest = rest[size:]
		for j := range batch {
			op := &batch[j]
			if op.ID, err = record.Sibling(first, i, j); err != nil {
				return false, fmt.Errorf("name a bulk operation: %w", err)
			}
			op.Key.ID = op.ID
			op.Tenant, op.Principal, op.Admin, op.Trace = b.Tenant, b.Principal, b.Admin, b.Trace
		}
	}
	rest = b.Operations
	for _, size := range sizes {
		if err := a.submitBatch(ctx, rest[:size], replayed); err != nil {
			return false, unavailable(err)
		}
		rest = rest[size:]
	}
	return replayed, nil
}

// reserve draws the stamps. If the idempotency key was used before by the same
// request, it returns the first ID of then, and puts the sizes of then into sizes.
func (a *Acceptor) reserve(ctx context.Context, b *Bulk, sizes *[]int) (first string, replayed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.o.Wait)
	defer cancel()
	random := rand.Uint64()
	var marks []mark
	if b.IdempotencyKey != "" {
		marks = []mark{{
			tail: record.IDTail(random, 0), suffix: bulkSuffix(b.Hash, *sizes), operations: len(b.Operations),
			idempotency: idempotencyKey(b.Tenant, b.Principal, b.IdempotencyKey),
		}}
	}
	n, held, err := stamp(ctx, a.rc, len(*sizes), len(b.Operations), a.o.IdempotencyTTL, marks)
	if err != nil {
		return "", false, unavailable(err)
	}
	if len(held) == 0 || held[0] == "" {
		return record.NewID(n, random, 0), false, nil
	}
	id, rest, _ := strings.Cut(held[0], ":")
	hash, list, _ := strings.Cut(rest, ":")
	then, total := parseSizes(list)
	if hash != b.Hash || total != len(b.Operations) {
		return "", false, fault.New(fault.IdempotencyMismatch, "the Idempotency-Key was used before with another request")
	}
	*sizes = then
	return id, true, nil
}

// submitBatch enqueues one batch of a bulk under the batch's own ID, also when
// it is repeated: it is the very same batch, so a conflict still says that it is in.
func (a *Acceptor) submitBatch(ctx context.Context, batch []record.Operation, replayed bool) error {
	ctx, cancel := context.WithTimeout(ctx, a.o.Wait)
	defer cancel()
	if replayed && a.known(ctx, batch) {
		return nil
	}
	if err := a.enqueue(ctx, batch[0].ID, batch); err != nil {
		return err
	}
	a.o.Observer.BatchEnqueued(len(batch))
	if !replayed {
		for i := range batch {
			a.o.Observer.Accepted(&batch[i])
		}
	}
	return nil
}

// split returns how many operations go into each batch, within the limits of a task.
func split(operations []record.Operation) []int {
	var sizes []int
	count, bytes := 0, 0
	for i := range operations {
		size := len(operations[i].Body)
		if full(count, bytes, size) {
			sizes = append(sizes, count)
			count, bytes = 0, 0
		}
		count, bytes = count+1, bytes+size
	}
	return append(sizes, count)
}

func bulkSuffix(hash string, sizes []int) string {
	list := make([]string, len(sizes))
	for i, n := range sizes {
		list[i] = strconv.Itoa(n)
	}
	return ":" + hash + ":" + strings.Join(list, ",")
}

func parseSizes(list string) (sizes []int, total int) {
	for part := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return nil, 0
		}
		sizes, total = append(sizes, n), total+n
	}
	return sizes, total
}
