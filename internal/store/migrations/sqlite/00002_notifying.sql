-- +goose Up

-- The same tables and indexes as in Postgres, where the reasons are. IDs are
-- lower-case text, times RFC 3339 in UTC.

CREATE TABLE subscriptions (
	tenant TEXT NOT NULL,
	id TEXT NOT NULL,
	name TEXT NOT NULL,
	events TEXT NOT NULL,
	filter TEXT NOT NULL,
	channel TEXT NOT NULL,
	target TEXT NOT NULL,
	rate_limit TEXT NOT NULL,
	max_in_flight INTEGER NOT NULL,
	enabled INTEGER NOT NULL,
	reason TEXT NOT NULL,
	disabled_at TEXT NOT NULL,
	created_by TEXT NOT NULL,
	created_at TEXT NOT NULL,
	updated_at TEXT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT;

CREATE TABLE subscription_changes (
	version INTEGER NOT NULL
) STRICT;
INSERT INTO subscription_changes (version) VALUES (1);

CREATE TABLE dispatches (
	tenant TEXT NOT NULL,
	subscription TEXT NOT NULL,
	owner TEXT NOT NULL,
	lease_until TEXT NOT NULL,
	paced_until TEXT NOT NULL,
	failing_since TEXT NOT NULL,
	PRIMARY KEY (tenant, subscription)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
	tenant TEXT NOT NULL,
	id TEXT NOT NULL,
	type TEXT NOT NULL,
	body TEXT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT;

CREATE TABLE deliveries (
	tenant TEXT NOT NULL,
	id TEXT NOT NULL,
	subscription TEXT NOT NULL,
	event TEXT NOT NULL,
	type TEXT NOT NULL,
	status TEXT NOT NULL,
	generation INTEGER NOT NULL,
	tries INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	next_at TEXT NOT NULL,
	error TEXT NOT NULL,
	progress TEXT NOT NULL,
	created_at TEXT NOT NULL,
	finished_at TEXT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT;

CREATE UNIQUE INDEX deliveries_by_event ON deliveries (tenant, event, subscription);
CREATE INDEX deliveries_by_subscription ON deliveries (tenant, subscription, status, id);
CREATE INDEX deliveries_not_delivered ON deliveries (tenant, status, id) WHERE status <> 'delivered';
CREATE INDEX deliveries_due ON deliveries (tenant, subscription, next_at, id) WHERE status = 'pending';

CREATE TABLE attempts (
	tenant TEXT NOT NULL,
	delivery TEXT NOT NULL,
	id TEXT NOT NULL,
	at TEXT NOT NULL,
	status INTEGER NOT NULL,
	took INTEGER NOT NULL,
	reply TEXT NOT NULL,
	error TEXT NOT NULL,
	PRIMARY KEY (tenant, delivery, id)
) STRICT;
