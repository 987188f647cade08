package auth

import (
	"context"
	"regexp"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
)

var tenantName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// EnsureTenant makes the tenant that p names in the header Waybill-Tenant, unless
// there is one. That costs a look into the store the first time alone.
func (s *Service) EnsureTenant(ctx context.Context, p *principal.Principal, name string) error {
	return s.ensureTenant(ctx, p, "header.Waybill-Tenant", name)
}

func (s *Service) ensureTenant(ctx context.Context, p *principal.Principal, location, name string) error {
	if _, known := s.tenants.Load(name); known || name == record.DefaultTenant {
		return nil
	}
	if !tenantName.MatchString(name) {
		kind := fault.InvalidParameter
		if location == "body.tenant" {
			kind = fault.InvalidRecord
		}
		return fault.At(kind, location, "must be 1 to 63 of a-z 0-9 _ -, and begin with a letter or a digit")
	}
	if err := s.store.EnsureTenant(ctx, principal.Tenant{Name: name, CreatedAt: s.now(), CreatedBy: p.ID}); err != nil {
		return err
	}
	s.tenants.Store(name, struct{}{})
	return nil
}
