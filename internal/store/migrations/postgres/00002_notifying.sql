-- +goose Up

CREATE TABLE subscriptions (
	tenant        text COLLATE "C" NOT NULL,
	id            uuid             NOT NULL,
	name          text             NOT NULL,
	events        json             NOT NULL, -- array of patterns
	filter        text             NOT NULL, -- JSON object; '' for none
	channel       text             NOT NULL, -- webhook, email, chat
	target        text             NOT NULL, -- the channel's settings, sealed, base64
	rate_limit    text             NOT NULL, -- 50/s; '' for none
	max_in_flight integer          NOT NULL,
	enabled       boolean          NOT NULL,
	reason        text             NOT NULL, -- why it is disabled
	disabled_at   timestamptz      NOT NULL, -- 1970 while enabled
	created_by    text             NOT NULL,
	created_at    timestamptz      NOT NULL,
	updated_at    timestamptz      NOT NULL,
	PRIMARY KEY (tenant, id)
);

-- One row: its version rises with every change to subscriptions. Whoever stores a
-- write compares it, in its own transaction, with what it has in memory.
CREATE TABLE subscription_changes (
	version bigint NOT NULL
);
INSERT INTO subscription_changes (version) VALUES (1);

-- Which worker delivers to a subscription now, and what the next one must know. It
-- outlives a deleted subscription until the last pending delivery is canceled.
CREATE TABLE dispatches (
	tenant        text COLLATE "C" NOT NULL,
	subscription  uuid             NOT NULL,
	owner         text             NOT NULL, -- '' for none
	lease_until   timestamptz      NOT NULL,
	paced_until   timestamptz      NOT NULL, -- the rate allows no attempt before
	failing_since timestamptz      NOT NULL, -- 1970: the last attempt succeeded, or there was none
	PRIMARY KEY (tenant, subscription)
) WITH (fillfactor = 50); -- every change is to columns without an index

CREATE TABLE events (
	tenant text COLLATE "C" NOT NULL,
	id     uuid             NOT NULL, -- the operation's; in accepted order
	type   text             NOT NULL,
	body   text             NOT NULL, -- as every attempt sends it
	PRIMARY KEY (tenant, id)
);

CREATE TABLE deliveries (
	tenant       text COLLATE "C" NOT NULL,
	id           uuid             NOT NULL, -- in the order of making
	subscription uuid             NOT NULL,
	event        uuid             NOT NULL,
	type         text             NOT NULL, -- the event's
	status       text COLLATE "C" NOT NULL, -- pending, delivered, dead, canceled
	generation   integer          NOT NULL,
	tries        integer          NOT NULL, -- in this generation
	attempts     integer          NOT NULL, -- in all
	next_at      timestamptz      NOT NULL, -- by the database's clock; 1970 unless pending
	error        text             NOT NULL,
	progress     text             NOT NULL,
	created_at   timestamptz      NOT NULL,
	finished_at  timestamptz      NOT NULL, -- 1970 while pending
	PRIMARY KEY (tenant, id)
);

-- The first makes an event's delivery to a subscription single. With the primary
-- key they serve every filter of the list; what is delivered, in all
-- subscriptions, is nearly everything and found by the primary key.
CREATE UNIQUE INDEX deliveries_by_event ON deliveries (tenant, event, subscription);
CREATE INDEX deliveries_by_subscription ON deliveries (tenant, subscription, status, id);
CREATE INDEX deliveries_not_delivered ON deliveries (tenant, status, id) WHERE status <> 'delivered';
CREATE INDEX deliveries_due ON deliveries (tenant, subscription, next_at, id) WHERE status = 'pending';

CREATE TABLE attempts (
	tenant   text COLLATE "C" NOT NULL,
	delivery uuid             NOT NULL,
	id       uuid             NOT NULL, -- in the order of beginning
	at       timestamptz      NOT NULL,
	status   integer          NOT NULL, -- of HTTP or SMTP; 0: no answer
	took     bigint           NOT NULL, -- µs
	reply    text             NOT NULL,
	error    text             NOT NULL,
	PRIMARY KEY (tenant, delivery, id)
);
