package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/record"
)

// FoldFunc decides what an operation makes of its record (nil: it does not
// exist): the record afterwards, and the outcome. It must be pure: it may be
// called again for the same operation, if others wrote meanwhile.
type FoldFunc func(current *record.Record, operation *record.Operation) (*record.Record, record.Outcome)

// ErrContended is wrapped by Apply's error when other writers of the same
// records or operations came first again and again. Trying later helps.
var ErrContended = errors.New("others write the same records")

// errRaced ends a round: what it took for granted does not hold.
var errRaced = errors.New("raced")

// maxRounds bounds Apply. Each round after the second means that another
// transaction committed a record or operation of ours in between: someone gets
// on, and so many times in a row it is always another only if something is wrong.
const maxRounds = 100

// Apply stores operations (sorted by ID, each at most once) with their effects,
// and a pending delivery for every subscription that wants to know of one, in one
// transaction. Those that the store knows already are left alone and left
// out of the answer; fold is called for each record that the others touch, and
// their outcomes are returned in ID order. attempts (by operation ID; 1 for those
// it does not have) and now are stored with them. Of its errors Refused tells
// which condemn the data, and Unavailable which to wait out; nothing is stored
// then, unless the connection was lost while committing: apply them again.
func (s *Store) Apply(ctx context.Context, operations []record.Operation, attempts map[string]int, now time.Time, fold FoldFunc) ([]record.Outcome, error) {
	if len(operations) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	a := application{store: s, dialect: s.dialect, operations: operations, attempts: attempts, now: now.UTC().Truncate(time.Microsecond), fold: fold}
	for range maxRounds {
		outcomes, err := a.round(ctx, s.writes)
		switch {
		case err == nil:
			return outcomes, nil
		case errors.Is(err, errRaced):
			a.careful = true
		case ctx.Err() != nil && !errors.Is(err, ctx.Err()): // database/sql may say only that the transaction is over
			return nil, fmt.Errorf("apply %d operations: %w: %w", len(operations), ctx.Err(), err)
		default:
			return nil, fmt.Errorf("apply %d operations: %w", len(operations), err)
		}
	}
	return nil, fmt.Errorf("apply %d operations: %w", len(operations), ErrContended)
}

// application is one call of Apply. Its first round is optimistic: it takes for
// granted that no operation is known and that no record exists whose first
// operation creates it, so that a batch of creates is two INSERTs. Both are
// guarded (the rows inserted are counted), and if they do not hold, the next
// round is careful: it looks first.
type application struct {
	store      *Store
	dialect    dialect
	operations []record.Operation
	attempts   map[string]int
	now        time.Time
	fold       FoldFunc
	careful    bool
}

// group is the operations of one record.
type group struct {
	record.Key
	operations []record.Operation
	current    *record.Record // nil: does not exist, or was not read
	read       bool
}

func (a *application) round(ctx context.Context, db *sql.DB) ([]record.Outcome, error) {
	tx, err := a.dialect.begin(ctx, db)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	groups := groupByRecord(a.operations)
	if err := a.read(ctx, tx, a.needed(groups)); err != nil {
		return nil, err
	}
	if a.careful { // after the records are locked: whoever locked them has committed
		if groups, err = a.withoutKnown(ctx, tx, groups); err != nil || len(groups) == 0 {
			return nil, err
		}
		// What does not exist cannot be locked: a record may have been created, by
		// an operation that was just found known, since it was read.
		if err := a.read(ctx, tx, absent(groups)); err != nil {
			return nil, err
		}
	}
	outcomes, layers, err := a.foldAll(groups)
	if err != nil {
		return nil, err
	}
	if err := a.insertOperations(ctx, tx, outcomes); err != nil {
		return nil, err
	}
	for i := range layers {
		if err := layers[i].write(ctx, tx, a.dialect); err != nil {
			return nil, err
		}
	}
	if err := a.store.announceOutcomes(ctx, tx, outcomes, a.now); err != nil {
		return nil, err
	}
	return outcomes, tx.Commit()
}

// groupByRecord returns the operations of each record, in ID order, and the
// groups in the order in which records are locked.
func groupByRecord(operations []record.Operation) []group {
	sorted := slices.Clone(operations)
	slices.SortStableFunc(sorted, func(a, b record.Operation) int { return a.Key.Compare(b.Key) })
	var groups []group
	for start, i := 0, 1; i <= len(sorted); i++ {
		if i == len(sorted) || sorted[i].Key != sorted[start].Key {
			groups = append(groups, group{Key: sorted[start].Key, operations: sorted[start:i:i]})
			start = i
		}
	}
	return groups
}

// read locks and reads the records of groups, as far as they exist.
func (a *application) read(ctx context.Context, tx *sql.Tx, groups []*group) error {
	byKey := make(map[record.Key]*group, len(groups))
	keys := make([]record.Key, len(groups))
	for i, g := range groups {
		g.read = true
		byKey[g.Key], keys[i] = g, g.Key
	}
	if len(keys) == 0 {
		return nil
	}
	statement := selectRecords + " FROM v JOIN records ON" + sameRecord + a.dialect.forUpdate()
	return a.dialect.query(ctx, tx, keyColumns(keys), statement, func(rows *sql.Rows) error {
		r, err := scanRecord(rows)
		if err == nil {
			byKey[r.Key].current = &r
		}
		return err
	})
}

// needed returns the groups whose records must be read: all, or in the
// optimistic round those that are not created first.
func (a *application) needed(groups []group) []*group {
	var found []*group
	for i := range groups {
		if a.careful || groups[i].operations[0].Action != record.Create {
			found = append(found, &groups[i])
		}
	}
	return found
}

// absent returns the groups whose records were not there.
func absent(groups []group) []*group {
	var found []*group
	for i := range groups {
		if groups[i].current == nil {
			found = append(found, &groups[i])
		}
	}
	return found
}

// withoutKnown drops the operations that the store knows.
func (a *application) withoutKnown(ctx context.Context, tx *sql.Tx, groups []group) ([]group, error) {
	keys := make([]record.OperationKey, len(a.operations))
	for i, op := range a.operations {
		keys[i] = record.OperationKey{Tenant: op.Tenant, ID: op.ID}
	}
	known, err := knownOperations(ctx, a.dialect, tx, keys)
	if err != nil {
		return nil, err
	}
	for i := range groups {
		groups[i].operations = slices.DeleteFunc(groups[i].operations, func(op record.Operation) bool { return known[op.ID] })
	}
	return slices.DeleteFunc(groups, func(g group) bool { return len(g.operations) == 0 }), nil
}

// foldAll folds every group, and returns the outcomes in ID order with what
// they do to the records: first what the first operation on each does, then the
// second, and so on. The database sees every state that a record goes through,
// as if the operations came one by one, and may refuse any of them.
func (a *application) foldAll(groups []group) ([]record.Outcome, []changes, error) {
	outcomes := make([]record.Outcome, 0, len(a.operations))
	var layers []changes
	for _, g := range groups {
		current := g.current
		for i := range g.operations {
			var before record.Record // of what fold gets, should it write there
			if current != nil {
				before = *current
			}
			after, outcome := a.fold(current, &g.operations[i])
			if i == 0 && !g.read && after == nil {
				return nil, nil, errRaced // nothing would be written that tells whether there was a record
			}
			if i == len(layers) {
				layers = append(layers, changes{})
			}
			outcomes = append(outcomes, outcome)
			layers[i].add(g.Key, &before, after)
			current = after
		}
	}
	for i := range outcomes {
		outcomes[i].Detail = legible(outcomes[i].Detail)
	}
	slices.SortFunc(outcomes, func(a, b record.Outcome) int { return strings.Compare(a.Operation.ID, b.Operation.ID) })
	return outcomes, layers, nil
}

// legible is text without what Postgres cannot store.
func legible(text string) string {
	if storable(text) {
		return text
	}
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\uFFFD"), "\uFFFD")
}

// insertOperations stores the outcomes, all or errRaced.
func (a *application) insertOperations(ctx context.Context, tx *sql.Tx, outcomes []record.Outcome) error {
	attemptsOf := func(o *record.Outcome) int64 { return max(1, int64(a.attempts[o.Operation.ID])) }
	versionOf := func(o *record.Outcome) int64 {
		if o.Status == record.Failed {
			return 0 // as the index of failed ones has it
		}
		return o.Version
	}
	input := []column{
		pluck(outcomes, "tenant", "text", func(o *record.Outcome) string { return o.Operation.Tenant }),
		pluck(outcomes, "id", "uuid", func(o *record.Outcome) string { return o.Operation.ID }),
		pluck(outcomes, "collection", "text", func(o *record.Outcome) string { return o.Operation.Collection }),
		pluck(outcomes, "record", "text", func(o *record.Outcome) string { return o.Operation.Key.ID }),
		pluck(outcomes, "action", "text", func(o *record.Outcome) string { return string(o.Operation.Action) }),
		pluck(outcomes, "status", "text", func(o *record.Outcome) string { return string(o.Status) }),
		pluck(outcomes, "version", "bigint", versionOf),
		pluck(outcomes, "error_code", "text", func(o *record.Outcome) string { return string(o.Code) }),
		pluck(outcomes, "error_detail", "text", func(o *record.Outcome) string { return o.Detail }),
		pluck(outcomes, "principal", "text", func(o *record.Outcome) string { return o.Operation.Principal }),
		pluck(outcomes, "owner", "text", func(o *record.Outcome) string { return o.Owner }),
		pluck(outcomes, "attempts", "integer", attemptsOf),
		pluck(outcomes, "accepted_at", "timestamptz", func(o *record.Outcome) time.Time { return record.AcceptedAt(o.Operation.ID) }),
		pluck(outcomes, "stored_at", "timestamptz", func(*record.Outcome) time.Time { return a.now }),
	}
	// The conflict is named: a unique index that a user has added must refuse the row, not hide it.
	return all(len(outcomes))(a.dialect.exec(ctx, tx, input, insertInto("operations", input)+" ON CONFLICT (tenant, id) DO NOTHING"))
}

// all returns what makes errRaced of a statement that changed fewer rows than n.
func all(n int) func(changed int64, err error) error {
	return func(changed int64, err error) error {
		if err == nil && changed != int64(n) {
			return errRaced
		}
		return err
	}
}

// insertInto returns the statement that inserts the rows of v. WHERE TRUE keeps
// SQLite from reading an ON CONFLICT after it as part of a join.
func insertInto(table string, input []column) string {
	names := make([]string, len(input))
	for i, c := range input {
		names[i] = c.name
	}
	list := strings.Join(names, ", ")
	return "INSERT INTO " + table + " (" + list + ") SELECT " + list + " FROM v WHERE TRUE"
}
