-- Where a session was begun, for its user.
ALTER TABLE session ADD COLUMN client TEXT NOT NULL DEFAULT '';
-- What users keep for themselves: language, theme, filters of lists.
CREATE TABLE preference (
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (account_id, name)
);
