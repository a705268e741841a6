ALTER TABLE job ADD COLUMN rounds BIGINT NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN feedback TEXT;
ALTER TABLE job ADD COLUMN verdict TEXT;
ALTER TABLE job ADD COLUMN failure TEXT;
UPDATE job SET
    job_trigger = json_patch(job_trigger, json_object('tracker', json(tracker), 'review', json(review))),
    lease = json_set(lease, '$.until', strftime('%Y-%m-%dT%H:%M:%fZ', lease_until / 1000000.0, 'unixepoch')),
    rounds = coalesce(rework ->> '$.rounds', 0),
    feedback = rework ->> '$.feedback',
    verdict = nullif(outcome -> '$.verdict', 'null'),
    failure = nullif(outcome -> '$.failure', 'null');
ALTER TABLE job DROP COLUMN tracker;
ALTER TABLE job DROP COLUMN review;
ALTER TABLE job DROP COLUMN rework;
ALTER TABLE job DROP COLUMN outcome;
