-- +goose Up

-- IDs of identities are text: '' stands for none, and whatever a client shows as
-- one can be looked for. Hashes are SHA-256 in hexadecimal. Look-ups by an ID or a
-- hash that a credential shows name no tenant, as nobody knows it yet; so these
-- are unique over all of them.

CREATE TABLE tenants (
	name       text COLLATE "C" NOT NULL,
	created_at timestamptz      NOT NULL,
	created_by text             NOT NULL, -- ID of the principal; '' for nobody
	PRIMARY KEY (name)
);
INSERT INTO tenants (name, created_at, created_by) VALUES ('default', clock_timestamp(), '');

CREATE TABLE users (
	id            text COLLATE "C" NOT NULL,
	tenant        text COLLATE "C" NOT NULL,
	email         text             NOT NULL, -- as it was given
	email_key     text COLLATE "C" NOT NULL, -- as it is compared
	password      text             NOT NULL, -- argon2id in PHC format; '' cannot log in
	role          text             NOT NULL,
	disabled_at   timestamptz      NOT NULL, -- 1970 while enabled
	created_at    timestamptz      NOT NULL,
	updated_at    timestamptz      NOT NULL,
	last_login_at timestamptz      NOT NULL, -- 1970: never
	PRIMARY KEY (tenant, id)
);

-- No ID is empty, but only look-ups by an ID alone say so: a tenant's list then
-- cannot be planned over all tenants' IDs.
CREATE UNIQUE INDEX users_by_email ON users (email_key);
CREATE UNIQUE INDEX users_by_id ON users (id) WHERE id <> '';

CREATE TABLE api_keys (
	id           text COLLATE "C" NOT NULL,
	tenant       text COLLATE "C" NOT NULL,
	name         text             NOT NULL,
	hash         text             NOT NULL, -- of the secret
	scopes       text             NOT NULL, -- JSON array
	collections  text             NOT NULL, -- JSON array; '' for all
	user_id      text COLLATE "C" NOT NULL, -- the user that it acts for; '' for none
	created_by   text             NOT NULL,
	created_at   timestamptz      NOT NULL,
	expires_at   timestamptz      NOT NULL, -- 1970: never
	revoked_at   timestamptz      NOT NULL, -- 1970 while it is good
	last_used_at timestamptz      NOT NULL, -- to about a minute; 1970: never
	PRIMARY KEY (tenant, revoked_at, id)
);

-- Lists leave out what was revoked, however much that is: the primary key serves
-- them. It is the first index that makes IDs unique; see users for its condition.
CREATE UNIQUE INDEX api_keys_by_id ON api_keys (id) WHERE id <> '';
CREATE INDEX api_keys_by_user ON api_keys (user_id, tenant, revoked_at, id);

CREATE TABLE sessions (
	id         text COLLATE "C" NOT NULL,
	tenant     text COLLATE "C" NOT NULL,
	kind       text             NOT NULL, -- login, browser, link
	user_id    text COLLATE "C" NOT NULL, -- '' for a key's
	key_id     text COLLATE "C" NOT NULL, -- '' for a user's
	parent     text COLLATE "C" NOT NULL, -- the login that a browser's ends with; '' for none
	hash       text COLLATE "C" NOT NULL, -- of what a browser or a link shows; '' for a login
	created_at timestamptz      NOT NULL,
	expires_at timestamptz      NOT NULL,
	revoked_at timestamptz      NOT NULL, -- 1970 while it is good
	PRIMARY KEY (id)
);

-- The last two serve the purge.
CREATE UNIQUE INDEX sessions_by_hash ON sessions (hash) WHERE hash <> '';
CREATE INDEX sessions_by_user ON sessions (user_id, revoked_at) WHERE user_id <> '';
CREATE INDEX sessions_by_key ON sessions (key_id, revoked_at) WHERE key_id <> '';
CREATE INDEX sessions_by_parent ON sessions (parent, revoked_at) WHERE parent <> '';
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_end ON sessions (revoked_at);

CREATE TABLE refresh_tokens ( -- of their session's tenant
	hash       text COLLATE "C" NOT NULL,
	session    text COLLATE "C" NOT NULL,
	created_at timestamptz      NOT NULL,
	spent_at   timestamptz      NOT NULL, -- 1970 while it is good
	PRIMARY KEY (hash)
);

CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session);
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (spent_at);

CREATE TABLE audit (
	tenant     text COLLATE "C" NOT NULL,
	id         text COLLATE "C" NOT NULL, -- UUIDv7: in the order of happening
	at         timestamptz      NOT NULL,
	principal  text COLLATE "C" NOT NULL, -- '' for anonymous
	key_id     text             NOT NULL, -- the key that was used; '' for none
	action     text COLLATE "C" NOT NULL, -- such as key.create
	target     text COLLATE "C" NOT NULL, -- ID of what it was done to
	detail     text             NOT NULL, -- JSON object; never a secret, a hash or an address of a receiver
	address    text             NOT NULL, -- the client's
	request_id text             NOT NULL,
	PRIMARY KEY (tenant, id)
);

-- One for each filter of the list, and one for the purge.
CREATE INDEX audit_by_principal ON audit (tenant, principal, id);
CREATE INDEX audit_by_action ON audit (tenant, action, id);
CREATE INDEX audit_by_target ON audit (tenant, target, id);
CREATE INDEX audit_by_time ON audit (at);

-- One row: its version rises with every change that may take something from
-- somebody. Whoever keeps verified credentials in memory asks for it.
CREATE TABLE identity_changes (
	version bigint NOT NULL
);
INSERT INTO identity_changes (version) VALUES (1);

-- The principal that created the record; '' for anonymous, as all were so far.
ALTER TABLE records ADD COLUMN owner text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE operations ADD COLUMN owner text NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN owner text NOT NULL DEFAULT '';

-- Costs the anonymous nothing. A list of one owner's records does not say
-- version > 0, so it cannot be planned over all of the collection's.
CREATE INDEX records_by_owner ON records (tenant, collection, owner, created_by) WHERE owner <> '';

-- What whoever made a subscription, or changed it last, could read then.
ALTER TABLE subscriptions ADD COLUMN reach_role text NOT NULL DEFAULT 'member';
ALTER TABLE subscriptions ADD COLUMN reach_principal text NOT NULL DEFAULT '';
ALTER TABLE subscriptions ADD COLUMN reach_collections text NOT NULL DEFAULT ''; -- JSON array; '' for all
