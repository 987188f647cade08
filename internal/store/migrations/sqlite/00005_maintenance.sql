-- +goose Up

-- The same as in Postgres, where the reasons are.
CREATE TABLE maintenance (
	job TEXT NOT NULL,
	due_at TEXT NOT NULL,
	PRIMARY KEY (job)
) STRICT, WITHOUT ROWID;
