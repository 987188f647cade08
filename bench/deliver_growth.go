package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waybill-dev/waybill/bench/rig"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
)

const (
	growthFew, growthMany = 10_000, 1_000_000 // deliveries
	growthSubscriptions   = 10                // each gets every event
	growthSpacing         = 100 * time.Millisecond
	replayedAtOnce        = 50 // events of one replay
)

// history is a Waybill with a past, and no worker.
type history struct {
	deliveries int
	from       time.Time // of the first event
	api        *rig.Process
	store      *store.Store
	hooks      []*hook
	repeats    int
	times      map[string][]float64 // ms, by what was timed
}

// measureDeliverGrowth times what goes over deliveries with few and with many of
// them kept, taking turns.
func (b *bench) measureDeliverGrowth(ctx context.Context) (err error) {
	if err := b.Flush(ctx); err != nil {
		return err
	}
	few, many := &history{deliveries: growthFew, repeats: b.repeats}, &history{deliveries: growthMany, repeats: b.repeats}
	for _, h := range []*history{few, many} {
		defer func() { err = errors.Join(err, h.close()) }()
		begin := time.Now()
		if err := b.fill(ctx, h); err != nil {
			return fmt.Errorf("%d deliveries: %w", h.deliveries, err)
		}
		fmt.Fprintf(b.log, "  %d deliveries made in %v\n", h.deliveries, time.Since(begin).Round(time.Second))
	}
	var names []string
	for repeat := range b.repeats + 2 {
		if repeat == 2 { // what came before was to warm up
			few.times, many.times = nil, nil
		}
		for _, h := range []*history{few, many} {
			if names, err = h.round(ctx, repeat); err != nil {
				return fmt.Errorf("%d deliveries: %w", h.deliveries, err)
			}
		}
	}
	for _, name := range names {
		less, more := median(few.times[name]), median(many.times[name])
		b.report.add(name+", a million : ten thousand", more/less, "", atMost(2), "medians of %d, %.2f and %.2f ms", b.repeats, more, less)
	}
	return nil
}

func (h *history) close() error {
	stopAll(h.api)
	if h.store == nil {
		return nil
	}
	return h.store.Close()
}

// fill makes the past: of 199 deliveries one is dead, those of the last
// subscription, whose receiver is down, wait for their next attempt, and the others
// are delivered.
func (b *bench) fill(ctx context.Context, h *history) (err error) {
	database, err := b.NewDatabase(ctx)
	if err != nil {
		return err
	}
	if h.api, err = b.StartAPI(ctx, database); err != nil {
		return err
	}
	if h.store, err = store.Open(database, store.Options{}); err != nil {
		return err
	}
	s := &service{api: h.api, receiver: &rig.Process{Addr: "127.0.0.1:9"}}
	ids := make([]string, growthSubscriptions)
	for i := range ids {
		hook, err := s.subscribe(ctx, "history-"+strconv.Itoa(i), "0s", 0)
		if err != nil {
			return err
		}
		h.hooks = append(h.hooks, hook)
		ids[i] = hook.ID
	}
	events := h.deliveries / growthSubscriptions
	h.from = time.Now().Add(-time.Duration(events)*growthSpacing - time.Hour).Truncate(time.Second)
	db, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	for _, step := range []struct {
		sql  string
		args []any
	}{
		{idFunction, nil},
		{fillEvents, []any{h.from.UnixMicro(), growthSpacing.Microseconds(), events, string(body)}},
		{fillDeliveries, []any{ids}},
		{fillAttempts, nil},
		{"VACUUM ANALYZE", nil},
		{"CHECKPOINT", nil},
	} {
		if _, err := db.Exec(ctx, step.sql, step.args...); err != nil {
			return fmt.Errorf("%s: %w", step.sql, err)
		}
	}
	return nil
}

const (
	// idFunction makes IDs like record.NewID.
	idFunction = `CREATE FUNCTION pg_temp.id(stamp bigint, tail text) RETURNS uuid LANGUAGE sql IMMUTABLE AS
		$$ SELECT (lpad(to_hex(stamp / 1000), 12, '0') || '7' || lpad(to_hex(stamp % 1000 * 4096 / 1000), 3, '0') || tail)::uuid $$`
	fillEvents = `INSERT INTO events (tenant, id, type, body)
		SELECT 'default', pg_temp.id($1::bigint + n * $2::bigint, '8000000000000000'), 'messages.created', '{"type":"messages.created","data":' || $4::text || '}'
		FROM generate_series(0, $3::integer - 1) AS n`
	fillDeliveries = `INSERT INTO deliveries (tenant, id, subscription, event, type, status, generation, tries, attempts, next_at, error, progress, created_at, finished_at)
		SELECT tenant, (left(event::text, 19) || '8000-' || lpad(to_hex(nth), 12, '0'))::uuid, subscription, event, type, status, 1, 1, 1,
			CASE status WHEN 'pending' THEN now() + interval '1 day' ELSE 'epoch' END, '', '', now(), CASE status WHEN 'pending' THEN 'epoch' ELSE now() END
		FROM (SELECT e.tenant, e.id AS event, e.type, s.id AS subscription, s.nth,
			CASE WHEN row_number() OVER (ORDER BY e.id, s.nth) % 199 = 0 THEN 'dead' WHEN s.nth = cardinality($1) THEN 'pending' ELSE 'delivered' END AS status
			FROM events AS e CROSS JOIN unnest($1::text[]::uuid[]) WITH ORDINALITY AS s (id, nth)) AS all_of_them
		ORDER BY event, nth`
	fillAttempts = `INSERT INTO attempts (tenant, delivery, id, at, status, took, reply, error)
		SELECT tenant, id, id, created_at, 204, 1234, '', '' FROM deliveries ORDER BY id`
)

// round times each thing once, and returns what it timed.
func (h *history) round(ctx context.Context, repeat int) (names []string, err error) {
	one := h.hooks[len(h.hooks)-1-repeat%(len(h.hooks)/2)] // not replayed
	middle := h.from.Add(time.Duration(h.deliveries/growthSubscriptions/2) * growthSpacing)
	for _, list := range []struct{ name, query string }{
		{"the newest deliveries", "limit=50"},
		{"the dead", "limit=30&status=dead"},
		{"one subscription's", "limit=50&subscription=" + one.ID},
		{"one subscription's dead", "limit=4&status=dead&subscription=" + one.ID},
		{"one operation's", "limit=10&operation=" + record.NewID(middle.UnixMicro(), 0, 0)},
	} {
		names = append(names, list.name)
		if err := h.time(list.name, func() error { return h.list(ctx, list.query) }); err != nil {
			return nil, err
		}
	}
	const sweep = "the sweep"
	err = h.time(sweep, func() error {
		overdue, err := h.store.Overdue(ctx)
		if err == nil && repeat == 0 && len(overdue) > 0 {
			err = fmt.Errorf("%d subscriptions are overdue", len(overdue))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	const due = "what is due, of a receiver that is down"
	err = h.time(due, func() error {
		_, err := h.store.DueFor(ctx, subscription.Key{Tenant: record.DefaultTenant, ID: h.hooks[len(h.hooks)-1].ID}, 16, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	replay := fmt.Sprintf("a replay of %d events", replayedAtOnce)
	return append(names, sweep, due, replay), h.time(replay, func() error { return h.replay(ctx, repeat) })
}

// time notes how long do takes.
func (h *history) time(name string, do func() error) error {
	begin := time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if h.times == nil {
		h.times = map[string][]float64{}
	}
	h.times[name] = append(h.times[name], ms(time.Since(begin)))
	return nil
}

// list reads a page that must not be empty.
func (h *history) list(ctx context.Context, query string) error {
	var page struct{ Items []json.RawMessage }
	if err := getJSON(ctx, "http://"+h.api.Addr+"/api/deliveries?"+query, &page); err != nil {
		return err
	}
	if len(page.Items) == 0 {
		return errors.New("no deliveries " + query)
	}
	return nil
}

// replay replays as many events each time, of a subscription and a time that were
// not replayed before.
func (h *history) replay(ctx context.Context, repeat int) error {
	events := h.deliveries / growthSubscriptions
	ranges := events / replayedAtOnce
	if repeat >= ranges*len(h.hooks)/2 {
		return errors.New("nothing is left to be replayed: fewer repeats, please")
	}
	since := h.from.Add(time.Duration(repeat%ranges*replayedAtOnce) * growthSpacing)
	until := since.Add((replayedAtOnce-1)*growthSpacing + growthSpacing/2)
	text := fmt.Appendf(nil, `{"since":%q,"until":%q,"status":"all"}`, since.UTC().Format(time.RFC3339Nano), until.UTC().Format(time.RFC3339Nano))
	var answer struct{ Count int }
	if err := call(ctx, http.MethodPost, h.hooks[repeat/ranges].at("/replay"), "application/json", text, &answer); err != nil {
		return err
	}
	if answer.Count != replayedAtOnce {
		return fmt.Errorf("%d deliveries were replayed, not %d", answer.Count, replayedAtOnce)
	}
	return nil
}
