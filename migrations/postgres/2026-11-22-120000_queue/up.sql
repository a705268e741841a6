-- Jobs that go before others, and requests that may be sent again.
ALTER TABLE job ADD COLUMN rank BIGINT NOT NULL DEFAULT 1;
DROP INDEX job_waiting;
CREATE INDEX job_waiting ON job (repo, rank, not_before, id) WHERE status = 'queued';
CREATE TABLE request (
    key_hash TEXT NOT NULL PRIMARY KEY,
    -- what was asked, as a hash
    asked TEXT NOT NULL,
    status BIGINT,
    kind TEXT,
    body BYTEA,
    created_at BIGINT NOT NULL
);
CREATE INDEX request_age ON request (created_at);
