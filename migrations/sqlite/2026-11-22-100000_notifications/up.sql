-- Who wants to be told what, and what is on its way to them.
CREATE TABLE channel (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    -- words
    events TEXT NOT NULL,
    -- of one repository only
    repo TEXT,
    -- of the issues of one person only
    owner TEXT,
    key_id TEXT,
    sealed BLOB,
    created_at BIGINT NOT NULL
);
CREATE TABLE notice (
    id TEXT NOT NULL PRIMARY KEY,
    channel_id TEXT NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    -- what it came from, so that it is told once
    cause TEXT NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    error TEXT,
    created_at BIGINT NOT NULL,
    UNIQUE (channel_id, cause)
);
CREATE INDEX notice_due ON notice (not_before, id) WHERE status = 'waiting';
