package auth

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
)

// CreateUser makes a user, who may be no more than p is. Role "" is member, tenant
// "" is p's.
func (s *Service) CreateUser(ctx context.Context, p *principal.Principal, n NewUser) (*principal.User, error) {
	if n.Tenant == "" {
		n.Tenant = p.Tenant
	}
	if n.Role == "" {
		n.Role = string(principal.Member)
	}
	if err := administers(p, n.Tenant); err != nil {
		return nil, err
	}
	if !p.Role.AtLeast(principal.Role(n.Role)) {
		return nil, fault.At(fault.Forbidden, "body.role", "nobody makes users of a higher role than their own")
	}
	return s.makeUser(ctx, p, n)
}

// administers is fault.Forbidden unless p is an admin of tenant.
func administers(p *principal.Principal, tenant string) error {
	if p.Role.AtLeast(principal.Platform) || p.Role.AtLeast(principal.Admin) && p.Tenant == tenant {
		return nil
	}
	return fault.New(fault.Forbidden, "an admin of the tenant is needed")
}

func (s *Service) makeUser(ctx context.Context, p *principal.Principal, n NewUser) (*principal.User, error) {
	key, err := checkNewUser(n)
	if err != nil {
		return nil, err
	}
	if err := s.EnsureTenant(ctx, p, n.Tenant); err != nil {
		return nil, err
	}
	hash, err := s.hasher.hash(ctx, n.Password)
	if err != nil {
		return nil, err
	}
	now := s.now()
	u := &principal.User{
		ID: newID(), Tenant: n.Tenant, Email: n.Email, EmailKey: key, Password: hash, Role: principal.Role(n.Role), CreatedAt: now, UpdatedAt: now,
	}
	if err := s.store.CreateUser(ctx, u); err != nil {
		return nil, err
	}
	return u, nil
}

// checkNewUser says all that is wrong with n, and returns how its address is compared.
func checkNewUser(n NewUser) (emailKey string, err error) {
	var wrong mistakes
	emailKey, err = principal.EmailKey(n.Email)
	if err != nil {
		wrong.add("body.email", err.Error())
	}
	wrong.join(CheckPassword(n.Email, n.Password))
	wrong.join(checkRole(n.Role, n.Tenant))
	return emailKey, wrong.err()
}

func checkRole(role, tenant string) error {
	if !slices.Contains(principal.Roles, principal.Role(role)) {
		return fault.At(fault.InvalidRecord, "body.role", "must be %s", strings.Join(texts(principal.Roles), ", "))
	}
	if principal.Role(role) == principal.Platform && tenant != record.DefaultTenant {
		return fault.At(fault.InvalidRecord, "body.role", "platform admins are of the tenant %s", record.DefaultTenant)
	}
	return nil
}

func texts[T ~string](list []T) []string {
	all := make([]string, len(list))
	for i, one := range list {
		all[i] = string(one)
	}
	return all
}

// UpdateUser changes a user of tenant. Nobody touches somebody of a higher role
// than their own, and nobody disables, demotes or moves themselves
// (fault.Conflict); only a platform admin moves users.
func (s *Service) UpdateUser(ctx context.Context, p *principal.Principal, tenant, id string, c UserChange) (*principal.User, error) {
	if err := administers(p, tenant); err != nil {
		return nil, err
	}
	hash, err := s.prepare(ctx, p, tenant, id, c)
	if err != nil {
		return nil, err
	}
	keep := ""
	if id == p.User {
		keep = p.Session
	}
	u, err := s.store.UpdateUser(ctx, tenant, id, keep, func(u *principal.User) error { return s.change(p, u, c, hash) })
	if err == nil {
		s.changed(ctx)
	}
	return u, err
}

// prepare checks a change before anything is made for it, which costs: a tenant, the
// hash of a new password, "" for none. The transaction checks again.
func (s *Service) prepare(ctx context.Context, p *principal.Principal, tenant, id string, c UserChange) (hash string, err error) {
	u, err := s.store.User(ctx, tenant, id)
	if err != nil {
		return "", err
	}
	if err := s.change(p, u, c, ""); err != nil {
		return "", err
	}
	if c.Password != nil {
		if err := CheckPassword(u.Email, *c.Password); err != nil {
			return "", err
		}
	}
	if c.Tenant != nil {
		if err := s.ensureTenant(ctx, p, "body.tenant", *c.Tenant); err != nil {
			return "", err
		}
	}
	if c.Password == nil {
		return "", nil
	}
	return s.hasher.hash(ctx, *c.Password)
}

// change changes u, if p may.
func (s *Service) change(p *principal.Principal, u *principal.User, c UserChange, hash string) error {
	if err := mayChange(p, u, c); err != nil {
		return err
	}
	s.apply(u, c, hash)
	return checkRole(string(u.Role), u.Tenant)
}

func mayChange(p *principal.Principal, u *principal.User, c UserChange) error {
	if !p.Role.AtLeast(u.Role) {
		return fault.New(fault.Forbidden, "nobody changes users of a higher role than their own")
	}
	if c.Role != nil && !p.Role.AtLeast(principal.Role(*c.Role)) {
		return fault.At(fault.Forbidden, "body.role", "nobody gives a higher role than their own")
	}
	moves := c.Tenant != nil && *c.Tenant != u.Tenant
	if moves && !p.Role.AtLeast(principal.Platform) {
		return fault.At(fault.Forbidden, "body.tenant", "only a platform admin moves users")
	}
	if u.ID != p.User {
		return nil
	}
	switch {
	case c.Disabled != nil && *c.Disabled:
		return fault.At(fault.Conflict, "body.disabled", "nobody disables themselves")
	case c.Role != nil && principal.Role(*c.Role) != u.Role:
		return fault.At(fault.Conflict, "body.role", "nobody changes their own role")
	case moves:
		return fault.At(fault.Conflict, "body.tenant", "nobody moves themselves")
	}
	return nil
}

func (s *Service) apply(u *principal.User, c UserChange, hash string) {
	if c.Role != nil {
		u.Role = principal.Role(*c.Role)
	}
	if c.Tenant != nil {
		u.Tenant = *c.Tenant
	}
	if hash != "" {
		u.Password = hash
	}
	switch {
	case c.Disabled == nil || *c.Disabled == !u.DisabledAt.IsZero():
	case *c.Disabled:
		u.DisabledAt = s.now()
	default:
		u.DisabledAt = time.Time{}
	}
}
