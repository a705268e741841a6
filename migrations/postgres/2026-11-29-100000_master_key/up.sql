-- The id of the master key that the secrets are encrypted with; one row. Another key is refused at the start.
CREATE TABLE master_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    key_id TEXT NOT NULL
);
