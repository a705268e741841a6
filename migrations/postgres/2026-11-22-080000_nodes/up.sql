-- The machines that execute tasks, what a job asks of one, and what tasks say while they run.
CREATE TABLE node (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- what an administrator gave it, and what it found itself: words
    labels TEXT NOT NULL,
    own_labels TEXT NOT NULL,
    -- where tasks are sent to; without one it asks for them
    push_url TEXT,
    capacity BIGINT NOT NULL,
    draining BOOLEAN NOT NULL,
    join_hash TEXT UNIQUE,
    join_until BIGINT,
    token_hash TEXT UNIQUE,
    version TEXT,
    health TEXT NOT NULL,
    -- the process that it runs as: another one has none of the tasks of the one before
    instance TEXT,
    created_at BIGINT NOT NULL,
    registered_at BIGINT,
    seen_at BIGINT,
    used_at BIGINT
);
CREATE TABLE node_success (
    node_id TEXT NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    repo TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (node_id, repo)
);
CREATE TABLE task_log (
    task_id TEXT NOT NULL,
    piece BIGINT NOT NULL,
    -- in bytes of the text, from the log's beginning
    start BIGINT NOT NULL,
    length BIGINT NOT NULL,
    at BIGINT NOT NULL,
    text BYTEA NOT NULL,
    PRIMARY KEY (task_id, piece)
);
CREATE INDEX task_log_age ON task_log (at);
ALTER TABLE job ADD COLUMN needs TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN command TEXT;
CREATE INDEX job_needs ON job (needs) WHERE needs <> '' AND status IN ('queued', 'running');
ALTER TABLE task ADD COLUMN heard BIGINT NOT NULL DEFAULT 0;
CREATE INDEX task_at_node ON task (node) WHERE node <> '' AND status IN ('pending', 'running');
