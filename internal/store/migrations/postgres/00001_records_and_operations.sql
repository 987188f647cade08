-- +goose Up

-- Key columns compare byte by byte (COLLATE "C"): as the program does, and
-- whatever the operating system's locales become.

CREATE TABLE records (
	tenant     text COLLATE "C" NOT NULL,
	collection text COLLATE "C" NOT NULL,
	id         text COLLATE "C" NOT NULL,
	version    bigint           NOT NULL,
	data       json             NOT NULL, -- not jsonb: the bytes stay as they were accepted
	created_by uuid             NOT NULL, -- the operation that created it: the order of lists
	updated_by uuid             NOT NULL, -- the last operation that took effect
	created_at timestamptz      NOT NULL, -- for people; programs read the time in created_by
	updated_at timestamptz      NOT NULL,
	PRIMARY KEY (tenant, collection, id)
);

-- Every version is above 0, but only lists say so: a look-up by key then cannot
-- be planned over this index, which a fresh table's missing statistics suggest.
CREATE INDEX records_by_creation ON records (tenant, collection, created_by) WHERE version > 0;

CREATE TABLE operations (
	tenant       text COLLATE "C" NOT NULL,
	id           uuid             NOT NULL, -- in accepted order
	collection   text COLLATE "C" NOT NULL,
	record       text COLLATE "C" NOT NULL,
	action       text             NOT NULL,
	status       text COLLATE "C" NOT NULL, -- done, failed
	version      bigint           NOT NULL, -- the record's after it; 0 when failed
	error_code   text             NOT NULL,
	error_detail text             NOT NULL,
	principal    text             NOT NULL,
	attempts     integer          NOT NULL,
	accepted_at  timestamptz      NOT NULL, -- for people; programs read the time in id
	stored_at    timestamptz      NOT NULL,
	PRIMARY KEY (tenant, id)
);

-- With the primary key these serve every filter of the list of operations. A
-- list of all statuses reads one range of an index for each. A create whose
-- record has the operation's own ID is found by the primary key, and so costs
-- the second index nothing; the third costs failed operations alone, and serves
-- only the list that says version = 0 (theirs always is).
CREATE INDEX operations_by_collection ON operations (tenant, collection, status, id);
CREATE INDEX operations_by_record ON operations (tenant, record, status, id) WHERE record <> CAST(id AS TEXT);
CREATE INDEX operations_failed ON operations (tenant, id) WHERE status = 'failed' AND version = 0;
