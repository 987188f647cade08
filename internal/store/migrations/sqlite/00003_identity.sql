-- +goose Up

-- The same tables and indexes as in Postgres, where the reasons are. Times
-- are RFC 3339 in UTC.

CREATE TABLE tenants (
	name TEXT NOT NULL,
	created_at TEXT NOT NULL,
	created_by TEXT NOT NULL,
	PRIMARY KEY (name)
) STRICT;
INSERT INTO tenants (name, created_at, created_by) VALUES ('default', strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'), '');

CREATE TABLE users (
	id TEXT NOT NULL,
	tenant TEXT NOT NULL,
	email TEXT NOT NULL,
	email_key TEXT NOT NULL,
	password TEXT NOT NULL,
	role TEXT NOT NULL,
	disabled_at TEXT NOT NULL,
	created_at TEXT NOT NULL,
	updated_at TEXT NOT NULL,
	last_login_at TEXT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT;

CREATE UNIQUE INDEX users_by_email ON users (email_key);
CREATE UNIQUE INDEX users_by_id ON users (id) WHERE id <> '';

CREATE TABLE api_keys (
	id TEXT NOT NULL,
	tenant TEXT NOT NULL,
	name TEXT NOT NULL,
	hash TEXT NOT NULL,
	scopes TEXT NOT NULL,
	collections TEXT NOT NULL,
	user_id TEXT NOT NULL,
	created_by TEXT NOT NULL,
	created_at TEXT NOT NULL,
	expires_at TEXT NOT NULL,
	revoked_at TEXT NOT NULL,
	last_used_at TEXT NOT NULL,
	PRIMARY KEY (tenant, revoked_at, id)
) STRICT;

CREATE UNIQUE INDEX api_keys_by_id ON api_keys (id) WHERE id <> '';
CREATE INDEX api_keys_by_user ON api_keys (user_id, tenant, revoked_at, id);

CREATE TABLE sessions (
	id TEXT NOT NULL,
	tenant TEXT NOT NULL,
	kind TEXT NOT NULL,
	user_id TEXT NOT NULL,
	key_id TEXT NOT NULL,
	parent TEXT NOT NULL,
	hash TEXT NOT NULL,
	created_at TEXT NOT NULL,
	expires_at TEXT NOT NULL,
	revoked_at TEXT NOT NULL,
	PRIMARY KEY (id)
) STRICT;

CREATE UNIQUE INDEX sessions_by_hash ON sessions (hash) WHERE hash <> '';
CREATE INDEX sessions_by_user ON sessions (user_id, revoked_at) WHERE user_id <> '';
CREATE INDEX sessions_by_key ON sessions (key_id, revoked_at) WHERE key_id <> '';
CREATE INDEX sessions_by_parent ON sessions (parent, revoked_at) WHERE parent <> '';
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_end ON sessions (revoked_at);

CREATE TABLE refresh_tokens (
	hash TEXT NOT NULL,
	session TEXT NOT NULL,
	created_at TEXT NOT NULL,
	spent_at TEXT NOT NULL,
	PRIMARY KEY (hash)
) STRICT;

CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session);
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (spent_at);

CREATE TABLE audit (
	tenant TEXT NOT NULL,
	id TEXT NOT NULL,
	at TEXT NOT NULL,
	principal TEXT NOT NULL,
	key_id TEXT NOT NULL,
	action TEXT NOT NULL,
	target TEXT NOT NULL,
	detail TEXT NOT NULL,
	address TEXT NOT NULL,
	request_id TEXT NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT;

CREATE INDEX audit_by_principal ON audit (tenant, principal, id);
CREATE INDEX audit_by_action ON audit (tenant, action, id);
CREATE INDEX audit_by_target ON audit (tenant, target, id);
CREATE INDEX audit_by_time ON audit (at);

CREATE TABLE identity_changes (
	version INTEGER NOT NULL
) STRICT;
INSERT INTO identity_changes (version) VALUES (1);

ALTER TABLE records ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE operations ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN owner TEXT NOT NULL DEFAULT '';

CREATE INDEX records_by_owner ON records (tenant, collection, owner, created_by) WHERE owner <> '';

ALTER TABLE subscriptions ADD COLUMN reach_role TEXT NOT NULL DEFAULT 'member';
ALTER TABLE subscriptions ADD COLUMN reach_principal TEXT NOT NULL DEFAULT '';
ALTER TABLE subscriptions ADD COLUMN reach_collections TEXT NOT NULL DEFAULT '';
