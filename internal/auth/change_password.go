package auth

import (
	"context"
	"log/slog"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
)

// ChangePassword changes the password of the user who asks, and ends their other
// sessions. A wrong current one is fault.Forbidden at body.current_password.
func (s *Service) ChangePassword(ctx context.Context, p *principal.Principal, current, next string) error {
	if p.Kind != principal.OfUser {
		return fault.New(fault.Forbidden, "only a user who has logged in changes their password")
	}
	u, err := s.store.User(ctx, p.Tenant, p.User)
	if err != nil {
		return err
	}
	if err := checkPassword("body.new_password", u.Email, next); err != nil {
		return err
	}
	if err := s.checkCurrent(ctx, u, current); err != nil {
		return err
	}
	hash, err := s.hasher.hash(ctx, next)
	if err != nil {
		return err
	}
	_, err = s.store.UpdateUser(ctx, p.Tenant, p.User, p.Session, func(now *principal.User) error {
		if now.Password != u.Password {
			return fault.New(fault.Conflict, "the password was changed by somebody else meanwhile")
		}
		now.Password = hash
		return nil
	})
	if err == nil {
		s.changed(ctx)
	}
	return err
}

func (s *Service) checkCurrent(ctx context.Context, u *principal.User, current string) error {
	same := false
	if len(current) <= maxPassword {
		var err error
		if same, err = s.hasher.matches(ctx, u.Password, current); err != nil {
			return err
		}
	}
	if !same {
		s.log.InfoContext(ctx, "a wrong password was given to change it", slog.String("user", u.ID))
		return fault.At(fault.Forbidden, "body.current_password", "is wrong")
	}
	return nil
}
