package httpapi

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/store"
)

//go:embed identity.yaml
var identitySchemas []byte

// Accounts is what the edge needs of auth to serve logins, keys and users. Its
// errors are faults.
type Accounts interface {
	Register(ctx context.Context, email, password string) (*principal.User, error)
	Login(ctx context.Context, email, password string) (*auth.Tokens, error)
	Refresh(ctx context.Context, token string) (*auth.Tokens, error)
	// Logout ends the login that p shows and the one that refresh is of, "" for none.
	Logout(ctx context.Context, p *principal.Principal, refresh string) error
	ChangePassword(ctx context.Context, p *principal.Principal, current, next string) error
	CreateUser(ctx context.Context, p *principal.Principal, u auth.NewUser) (*principal.User, error)
	UpdateUser(ctx context.Context, p *principal.Principal, tenant, id string, c auth.UserChange) (*principal.User, error)
	// CreateKey also returns the key's text, which nobody can read again.
	CreateKey(ctx context.Context, p *principal.Principal, tenant string, k auth.NewKey) (*principal.Key, string, error)
	RevokeKey(ctx context.Context, p *principal.Principal, tenant, id string) error
	OpenSession(ctx context.Context, p *principal.Principal) (cookie string, expires time.Time, err error)
	CloseSession(ctx context.Context, cookie string) error
	TakeLink(ctx context.Context, token string) (cookie string, expires time.Time, err error)
}

// Directory is what the edge reads of users, keys, tenants and the audit. Pages
// are newest first, tenants by name.
type Directory interface {
	User(ctx context.Context, tenant, id string) (*principal.User, error)
	Users(ctx context.Context, tenant string, limit int, before string) ([]principal.User, bool, error)
	Key(ctx context.Context, tenant, id string) (*principal.Key, error)
	Keys(ctx context.Context, tenant, user string, limit int, before string) ([]principal.Key, bool, error)
	Tenants(ctx context.Context, limit int, after string) ([]principal.Tenant, bool, error)
	Audit(ctx context.Context, tenant string, q store.AuditQuery) ([]principal.Entry, bool, error)
}

// routeIdentity adds who one is, and how one becomes it.
func (a *API) routeIdentity() {
	a.routeAuth()
	a.routeSession()
	a.routeKeys()
	a.routeUsers()
	a.routeTenants()
	a.routeAudit()
}

// own is the access to what is about oneself: any credentials.
func own(e effort) access { return access{role: principal.Member, effort: e} }

// toAdminister is the access of admins; a key needs the scope, and no limits: it
// could make itself a user who has none.
func toAdminister(e effort) access {
	return access{role: principal.Admin, scopes: []principal.Scope{principal.ScopeAdmin}, effort: e, whole: true}
}

func identityOperation(method, path, id, tag, summary string) *huma.Operation {
	return &huma.Operation{Method: method, Path: path, OperationID: id, Tags: []string{tag}, Summary: summary}
}

// readInto reads a JSON body that the schema of that name lets through into v.
// media are other types that it may be sent as.
func (a *API) readInto(x *exchange, r *http.Request, schema string, v any, media ...string) error {
	if _, err := mediaType(r, append([]string{typeJSON}, media...)...); err != nil {
		return err
	}
	return readBody(x, r, a.o.MaxBody, func(body []byte) error {
		text, err := bodyOf(schema).Record("body", body)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, v); err != nil {
			return fmt.Errorf("read a body that was checked: %w", err)
		}
		return nil
	})
}

// writeList answers with a page of a list.
func writeList[T, V any](x *exchange, p page, items []T, more bool, id func(*T) string, view func(*T) V) error {
	l := list{Items: make([]json.RawMessage, len(items))}
	for i := range items {
		text, err := json.Marshal(view(&items[i]))
		if err != nil {
			return fmt.Errorf("encode a list: %w", err)
		}
		l.Items[i] = text
	}
	if len(items) > 0 {
		l.next(p, more, id(&items[len(items)-1]))
	}
	return writeBytes(x, http.StatusOK, l.json())
}

// withBody gives an operation the body of that schema.
func withBody(op *huma.Operation, c *collection.Collection) *huma.Operation {
	op.RequestBody = body(map[string]*huma.Schema{typeJSON: rawSchema(c)})
	return op
}

// listFaults are the failures of a list.
var listFaults = []fault.Kind{fault.InvalidParameter, fault.StoreUnavailable}
