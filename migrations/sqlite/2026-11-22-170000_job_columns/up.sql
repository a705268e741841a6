-- The tracker and the review have columns of their own. What belongs together shares one: rounds and feedback of a rework,
-- verdict and failure of an outcome. A lease's end is stored once, in `lease_until`, because a renewal sets nothing else.
ALTER TABLE job ADD COLUMN tracker TEXT;
ALTER TABLE job ADD COLUMN review TEXT;
ALTER TABLE job ADD COLUMN rework TEXT;
ALTER TABLE job ADD COLUMN outcome TEXT;
UPDATE job SET
    tracker = job_trigger -> '$.tracker',
    review = job_trigger -> '$.review',
    job_trigger = json_remove(job_trigger, '$.tracker', '$.review'),
    lease = json_remove(lease, '$.until'),
    rework = CASE WHEN rounds > 0 OR feedback IS NOT NULL
        THEN json_object('rounds', rounds, 'feedback', feedback) END,
    outcome = CASE WHEN verdict IS NOT NULL OR failure IS NOT NULL
        THEN json_object('verdict', json(verdict), 'failure', json(failure)) END;
ALTER TABLE job DROP COLUMN rounds;
ALTER TABLE job DROP COLUMN feedback;
ALTER TABLE job DROP COLUMN verdict;
ALTER TABLE job DROP COLUMN failure;
