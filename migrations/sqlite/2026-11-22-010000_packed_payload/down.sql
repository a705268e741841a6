-- Packed payloads cannot be unpacked here; they are left out.
CREATE TABLE delivery_old (
    platform TEXT NOT NULL,
    id TEXT NOT NULL,
    identity TEXT,
    event_type TEXT NOT NULL,
    job_id TEXT REFERENCES job (id) ON DELETE CASCADE,
    received_at BIGINT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (platform, id)
);
INSERT INTO delivery_old (platform, id, identity, event_type, job_id, received_at, payload)
SELECT platform, id, identity, event_type, job_id, received_at,
    CASE WHEN substr(payload, 1, 1) = x'01' THEN '' ELSE CAST(payload AS TEXT) END
FROM delivery;
DROP TABLE delivery;
ALTER TABLE delivery_old RENAME TO delivery;
CREATE UNIQUE INDEX delivery_identity ON delivery (platform, identity);
CREATE INDEX delivery_of_job ON delivery (job_id, received_at);
