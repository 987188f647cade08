-- +goose Up

-- The same tables and indexes as in Postgres, where the reasons are. IDs of
-- operations are lower-case text, times RFC 3339 in UTC.

CREATE TABLE records (
	tenant     TEXT    NOT NULL,
	collection TEXT    NOT NULL,
	id         TEXT    NOT NULL,
	version    INTEGER NOT NULL,
	data       TEXT    NOT NULL,
	created_by TEXT    NOT NULL,
	updated_by TEXT    NOT NULL,
	created_at TEXT    NOT NULL,
	updated_at TEXT    NOT NULL,
	PRIMARY KEY (tenant, collection, id)
) STRICT;

CREATE INDEX records_by_creation ON records (tenant, collection, created_by) WHERE version > 0;

CREATE TABLE operations (
	tenant       TEXT    NOT NULL,
	id           TEXT    NOT NULL,
	collection   TEXT    NOT NULL,
	record       TEXT    NOT NULL,
	action       TEXT    NOT NULL,
	status       TEXT    NOT NULL,
	version      INTEGER NOT NULL,
	error_code   TEXT    NOT NULL,
	error_detail TEXT    NOT NULL,
	principal    TEXT    NOT NULL,
	attempts     INTEGER NOT NULL,
	accepted_at  TEXT    NOT NULL,
	stored_at    TEXT    NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX operations_by_collection ON operations (tenant, collection, status, id);
CREATE INDEX operations_by_record ON operations (tenant, record, status, id) WHERE record <> CAST(id AS TEXT);
CREATE INDEX operations_failed ON operations (tenant, id) WHERE status = 'failed' AND version = 0;
