ALTER TABLE job ADD COLUMN rounds BIGINT NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN feedback TEXT;
ALTER TABLE job ADD COLUMN verdict TEXT;
ALTER TABLE job ADD COLUMN failure TEXT;
UPDATE job SET rework = replace(rework, '\u0000', '\ufffd'), outcome = replace(outcome, '\u0000', '\ufffd'),
    job_trigger = replace(job_trigger, '\u0000', '\ufffd');
UPDATE job SET
    job_trigger = (SELECT json_object_agg(key, value) FROM (
        SELECT key, value FROM json_each(job_trigger::json)
        UNION ALL SELECT 'tracker', tracker::json WHERE tracker IS NOT NULL
        UNION ALL SELECT 'review', review::json WHERE review IS NOT NULL
    ) AS whole)::text,
    lease = CASE WHEN lease IS NOT NULL THEN (SELECT json_object_agg(key, value) FROM (
        SELECT key, value FROM json_each(lease::json)
        UNION ALL SELECT 'until',
            to_json(to_char(to_timestamp(lease_until / 1000000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
    ) AS whole)::text END,
    rounds = coalesce((rework::json ->> 'rounds')::bigint, 0),
    feedback = rework::json ->> 'feedback',
    verdict = nullif((outcome::json -> 'verdict')::text, 'null'),
    failure = nullif((outcome::json -> 'failure')::text, 'null');
ALTER TABLE job DROP COLUMN tracker;
ALTER TABLE job DROP COLUMN review;
ALTER TABLE job DROP COLUMN rework;
ALTER TABLE job DROP COLUMN outcome;
