package store

import (
	"cmp"
	"context"
	"database/sql"
	"reflect"

	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// subscriptionState is a subscription as it is stored, whatever a change then does
// to what the subscription refers to.
type subscriptionState struct {
	enabled bool
	columns []column
}

func stateOf(sub *subscription.Subscription) subscriptionState {
	return subscriptionState{sub.Enabled, subscriptionColumns([]subscription.Subscription{*sub})}
}

// follows are the columns that change with others.
var follows = map[string]bool{"enabled": true, "reason": true, "disabled_at": true, "created_by": true, "created_at": true, "updated_at": true}

// changedSince names the columns that changed.
func (s *subscriptionState) changedSince(before subscriptionState) []string {
	names := []string{}
	for i, c := range s.columns {
		if !follows[c.name] && !reflect.DeepEqual(c.values, before.columns[i].values) {
			names = append(names, c.name)
		}
	}
	return names
}

// auditUpdate notes what an update came to, by the names of what changed alone: a
// target's or a filter's value may be a secret.
func (s *Store) auditUpdate(ctx context.Context, tx *sql.Tx, sub *subscription.Subscription, before subscriptionState) error {
	after := stateOf(sub)
	changed := after.changedSince(before)
	action := cmp.Or(principal.ActorOf(ctx).Action, "subscription.update")
	switch {
	case after.enabled && !before.enabled:
		action = "subscription.enable"
	case !after.enabled && before.enabled:
		action = "subscription.disable"
	case len(changed) == 0:
		return nil
	}
	return s.audit(ctx, tx, sub.Tenant, action, sub.ID, detail{"changed": changed})
}
