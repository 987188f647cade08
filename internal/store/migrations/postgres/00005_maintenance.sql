-- +goose Up

-- When each job of maintenance is due. Whoever takes one moves it on, in the same
-- statement: that is its lease.
CREATE TABLE maintenance (
	job    text COLLATE "C" NOT NULL,
	due_at timestamptz      NOT NULL, -- by the database's clock
	PRIMARY KEY (job)
) WITH (fillfactor = 50);
