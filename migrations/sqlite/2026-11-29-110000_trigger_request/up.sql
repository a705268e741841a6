-- What people asked for, before it is known whether they may. A request has the id that its job will have.
CREATE TABLE trigger_request (
    id TEXT NOT NULL PRIMARY KEY,
    platform TEXT NOT NULL,
    repo TEXT NOT NULL,
    number_api BIGINT NOT NULL,
    -- the login in lower case
    actor TEXT NOT NULL,
    -- the whole request with its decision, JSON
    body TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('requested', 'admitted', 'refused')),
    -- when a reply to a refused request was queued
    answered_at BIGINT,
    attempts BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    error TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX trigger_request_due ON trigger_request (not_before, id) WHERE status = 'requested';
CREATE INDEX trigger_request_of_person ON trigger_request (platform, repo, number_api, actor, id) WHERE status = 'requested';
CREATE INDEX trigger_request_answered ON trigger_request (platform, repo, number_api) WHERE answered_at IS NOT NULL;

-- A delivery names the request that it made, which may never become a job: no foreign key any more.
CREATE TABLE delivery_new (
    platform TEXT NOT NULL,
    id TEXT NOT NULL,
    identity TEXT,
    event_type TEXT NOT NULL,
    job_id TEXT,
    received_at BIGINT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (platform, id)
);
INSERT INTO delivery_new (platform, id, identity, event_type, job_id, received_at, payload)
SELECT platform, id, identity, event_type, job_id, received_at, payload FROM delivery;
DROP TABLE delivery;
ALTER TABLE delivery_new RENAME TO delivery;
CREATE UNIQUE INDEX delivery_identity ON delivery (platform, identity);
CREATE INDEX delivery_of_job ON delivery (job_id, received_at);
CREATE INDEX delivery_received ON delivery (received_at);
