package store_test

import (
	"testing"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
	"github.com/waybill-dev/waybill/internal/testenv"
)

// TestStore_AConnectionThatDiedInThePoolFailsNobody: the server was restarted, and
// nothing has used the connection since.
func TestStore_AConnectionThatDiedInThePoolFailsNobody(t *testing.T) {
	t.Parallel()
	url := testenv.PostgresURL(t)
	s, other := migrated(t, url), migrated(t, url)
	none := subscription.Key{Tenant: record.DefaultTenant, ID: record.NewID(1, 1, 1)}
	for range 5 {
		if err := s.DeleteSubscription(t.Context(), none); fault.KindOf(err) != fault.NotFound {
			t.Errorf("DeleteSubscription of none = %v, want NotFound", err)
		}
		_, err := other.DB().ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		if err != nil {
			t.Fatal(err)
		}
	}
}
