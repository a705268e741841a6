DROP INDEX job_running;
DROP INDEX job_waiting;
CREATE INDEX job_due ON job (not_before, id) WHERE status = 'queued';
ALTER TABLE job DROP COLUMN actor;
