CREATE TABLE delivery_new (
    platform TEXT NOT NULL,
    id TEXT NOT NULL,
    identity TEXT,
    event_type TEXT NOT NULL,
    job_id TEXT REFERENCES job (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    received_at BIGINT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (platform, id)
);
INSERT INTO delivery_new (platform, id, identity, event_type, job_id, received_at, payload)
SELECT platform, id, identity, event_type, (SELECT job.id FROM job WHERE job.id = delivery.job_id), received_at, payload
FROM delivery;
DROP TABLE delivery;
ALTER TABLE delivery_new RENAME TO delivery;
CREATE UNIQUE INDEX delivery_identity ON delivery (platform, identity);
CREATE INDEX delivery_of_job ON delivery (job_id, received_at);
CREATE INDEX delivery_received ON delivery (received_at);
DROP TABLE trigger_request;
