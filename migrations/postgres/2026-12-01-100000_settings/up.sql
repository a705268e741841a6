-- The settings that administrators change while the server runs, sealed.
CREATE TABLE setting (
    name TEXT NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);
