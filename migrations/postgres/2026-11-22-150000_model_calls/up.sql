-- What the model was asked for a job and what it said.
CREATE TABLE model_call (
    task_id TEXT NOT NULL,
    -- its turn in its task, from 0
    number BIGINT NOT NULL,
    job_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    purpose TEXT NOT NULL,
    model TEXT NOT NULL,
    usage TEXT NOT NULL,
    millis BIGINT NOT NULL,
    error TEXT,
    -- the question and the answer, packed
    said BYTEA NOT NULL,
    PRIMARY KEY (task_id, number)
);
CREATE INDEX model_call_of_job ON model_call (job_id);
CREATE INDEX model_call_age ON model_call (at);
