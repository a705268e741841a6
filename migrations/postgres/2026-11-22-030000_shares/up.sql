-- Jobs are shared out among repositories and people: the first waiting one of each repository is found at once.
ALTER TABLE job ADD COLUMN actor TEXT NOT NULL DEFAULT '';
UPDATE job SET actor = lower(coalesce(job_trigger::json ->> 'actor', ''));
DROP INDEX job_due;
CREATE INDEX job_waiting ON job (repo, not_before, id) WHERE status = 'queued';
CREATE INDEX job_running ON job (repo) WHERE status = 'running';
