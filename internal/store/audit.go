package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/principal"
)

// AuditQuery selects and pages the audit. What is "" selects all.
type AuditQuery struct {
	Principal string
	Action    string
	Target    string
	Limit     int    // at least 1
	Before    string // ID of the last entry of the page before
}

// detail is what the audit says of a change, beyond who did what to whom: never
// secrets, hashes or addresses of receivers.
type detail map[string]any

// audit notes, in the transaction of the change, who did action to target.
func (s *Store) audit(ctx context.Context, tx *sql.Tx, tenant, action, target string, d detail) error {
	return s.auditAs(ctx, tx, newEntryID(), tenant, action, target, d)
}

func newEntryID() string { return uuid.Must(uuid.NewV7()).String() }

// auditAs is audit under an ID that was drawn before. If the entry is there, from
// an earlier transaction of the same change, its detail is replaced.
func (s *Store) auditAs(ctx context.Context, tx *sql.Tx, id, tenant, action, target string, d detail) error {
	now, err := s.clock(ctx, tx)
	if err != nil {
		return err
	}
	text := []byte("{}")
	if d != nil {
		if text, err = json.Marshal(d); err != nil {
			return fmt.Errorf("audit of %s: %w", action, err)
		}
	}
	by := principal.ActorOf(ctx)
	return s.putEntries(ctx, tx, []principal.Entry{{
		ID: id, Tenant: tenant, At: now, Principal: by.Principal, Key: by.Key,
		Action: action, Target: target, Detail: text, Address: by.Address, RequestID: by.RequestID,
	}})
}

func (s *Store) putEntries(ctx context.Context, tx *sql.Tx, in []principal.Entry) error {
	type row = principal.Entry
	input := []column{
		pluck(in, "tenant", "text", func(e *row) string { return e.Tenant }),
		pluck(in, "id", "text", func(e *row) string { return e.ID }),
		pluck(in, "at", "timestamptz", func(e *row) time.Time { return orNever(e.At) }),
		pluck(in, "principal", "text", func(e *row) string { return e.Principal }),
		pluck(in, "key_id", "text", func(e *row) string { return e.Key }),
		pluck(in, "action", "text", func(e *row) string { return e.Action }),
		pluck(in, "target", "text", func(e *row) string { return e.Target }),
		pluck(in, "detail", "text", func(e *row) string { return string(e.Detail) }),
		pluck(in, "address", "text", func(e *row) string { return legible(e.Address) }),
		pluck(in, "request_id", "text", func(e *row) string { return legible(e.RequestID) }),
	}
	_, err := s.dialect.exec(ctx, tx, input, insertInto("audit", input)+" ON CONFLICT (tenant, id) DO UPDATE SET detail = excluded.detail")
	return err
}

// Audit returns a page of a tenant's audit, newest first, and whether there are
// more. A page costs the same at any depth; with several filters it passes over
// those that only one of them finds.
func (s *Store) Audit(ctx context.Context, tenant string, q AuditQuery) ([]principal.Entry, bool, error) {
	statement, args := auditStatement(s.dialect, tenant, q)
	return readPage(ctx, s, statement, args, q.Limit, scanEntry)
}

func auditStatement(d dialect, tenant string, q AuditQuery) (string, arguments) {
	args := arguments{tenant}
	where, index := " WHERE tenant = $1", ""
	// From what finds the most to what finds the least: the last one's index is taken.
	for _, filter := range []struct{ name, value string }{{"action", q.Action}, {"principal", q.Principal}, {"target", q.Target}} {
		if filter.value != "" {
			where += " AND " + filter.name + " = " + args.add(filter.value)
			index = "audit_by_" + filter.name
		}
	}
	if q.Before != "" {
		where += " AND id < " + args.add(q.Before)
	}
	return "SELECT tenant, id, at, principal, key_id, action, target, detail, address, request_id FROM audit" + d.by(index) + where + " ORDER BY id DESC", args
}

func scanEntry(rows *sql.Rows) (e principal.Entry, err error) {
	var at instant
	var text string
	err = rows.Scan(&e.Tenant, &e.ID, &at, &e.Principal, &e.Key, &e.Action, &e.Target, &text, &e.Address, &e.RequestID)
	e.At, e.Detail = at.Time, json.RawMessage(text)
	return e, err
}
