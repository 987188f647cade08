package subscription

import (
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/principal"
)

// Reach is what a subscription may be told of: what whoever made it, or changed it
// last, could read then. The zero Reach is anonymous's: of all collections, those
// that are public to read.
type Reach struct {
	Role        principal.Role
	Principal   string   // ID
	Collections []string // nil: all
}

// Rules says who may access a collection; false if there is none of that name.
// Under nil Rules everybody may read everything.
type Rules func(name string) (collection.Access, bool)

// covers says whether r may be told of an event of that type about what owner has.
// What no collection is behind is for everybody in the tenant.
func (r *Reach) covers(eventType, owner string, rules Rules) bool {
	if eventType == TypeDisabled || eventType == TypeTest {
		return true
	}
	name := eventType[:max(0, strings.LastIndexByte(eventType, '.'))]
	if len(r.Collections) > 0 && !slices.Contains(r.Collections, name) {
		return false
	}
	if rules == nil {
		return true
	}
	access, known := rules(name)
	if !known { // it was taken out of waybill.yaml: nobody can say whose it was
		return r.Role.AtLeast(principal.Admin)
	}
	return access.MayRead(r.Role, r.Principal, owner)
}
