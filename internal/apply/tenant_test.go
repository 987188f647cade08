package apply_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/record"
)

// Two tenants write records of one name, in the same batches: to each of them
// the other's writes have never happened.
func TestSystem_TenantsOfOneBatchAreKeptApart(t *testing.T) {
	t.Parallel()
	const most = 100
	for name, databaseURL := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSystem(t, databaseURL(t), 1, 2)
			var all []record.Operation
			for round := 0; !mixed(all); round++ {
				if round == most {
					t.Fatalf("no batch carried both tenants' operations in %d rounds", most)
				}
				all = append(all, s.tenantsWrite(t, round)...)
			}
			slices.SortFunc(all, func(a, b record.Operation) int { return strings.Compare(a.ID, b.ID) })
			s.stored(t, all)
			s.compare(t, all)
		})
	}
}

// tenantsWrite has two tenants write to one record each, at once and under the
// same Idempotency-Keys.
func (s *system) tenantsWrite(t *testing.T, round int) []record.Operation {
	var mu sync.Mutex
	var accepted []record.Operation
	var wg sync.WaitGroup
	for i := range 16 {
		tenant := []string{"acme", "umbrella"}[i%2]
		w := &accept.Write{
			Operation: record.Operation{
				Key: record.Key{Tenant: tenant, Collection: "todos", ID: "same"}, Action: record.Replace,
				Body: fmt.Appendf(nil, `{"text":"%s %d.%d"}`, tenant, round, i), Principal: "user:" + tenant,
			},
			IdempotencyKey: fmt.Sprintf("%d.%d", round, i/2), Hash: "same",
		}
		wg.Go(func() {
			a, err := s.apis[0].Submit(context.Background(), w)
			if err != nil || a.Replayed {
				t.Errorf("submit: replayed %v, %v", a.Replayed, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			accepted = append(accepted, a.Operation)
		})
	}
	wg.Wait()
	return accepted
}

// mixed says whether some batch carried operations of several tenants.
func mixed(operations []record.Operation) bool {
	tenantOf := map[string]string{}
	for _, op := range operations {
		batch := record.BatchID(op.ID)
		if tenant, found := tenantOf[batch]; found && tenant != op.Tenant {
			return true
		}
		tenantOf[batch] = op.Tenant
	}
	return false
}
