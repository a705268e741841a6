-- The conversation with the model about a job that has not ended.
CREATE TABLE conversation (
    job_id TEXT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    -- JSON, packed
    text BYTEA NOT NULL
);
