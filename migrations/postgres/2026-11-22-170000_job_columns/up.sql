-- The tracker and the review have columns of their own. What belongs together shares one: rounds and feedback of a rework,
-- verdict and failure of an outcome. A lease's end is stored once, in `lease_until`, because a renewal sets nothing else.
-- PostgreSQL reads no JSON text with U+0000, and nobody means one.
UPDATE job SET job_trigger = replace(job_trigger, '\u0000', '\ufffd') WHERE job_trigger LIKE '%\\u0000%';
ALTER TABLE job ADD COLUMN tracker TEXT;
ALTER TABLE job ADD COLUMN review TEXT;
ALTER TABLE job ADD COLUMN rework TEXT;
ALTER TABLE job ADD COLUMN outcome TEXT;
UPDATE job SET
    tracker = (job_trigger::json -> 'tracker')::text,
    review = (job_trigger::json -> 'review')::text,
    job_trigger = (SELECT json_object_agg(key, value) FROM json_each(job_trigger::json)
        WHERE key NOT IN ('tracker', 'review'))::text,
    lease = (SELECT json_object_agg(key, value) FROM json_each(lease::json) WHERE key <> 'until')::text,
    rework = CASE WHEN rounds > 0 OR feedback IS NOT NULL
        THEN json_build_object('rounds', rounds, 'feedback', feedback)::text END,
    outcome = CASE WHEN verdict IS NOT NULL OR failure IS NOT NULL
        THEN json_build_object('verdict', verdict::json, 'failure', failure::json)::text END;
ALTER TABLE job DROP COLUMN rounds;
ALTER TABLE job DROP COLUMN feedback;
ALTER TABLE job DROP COLUMN verdict;
ALTER TABLE job DROP COLUMN failure;
