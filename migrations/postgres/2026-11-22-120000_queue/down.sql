DROP TABLE request;
DROP INDEX job_waiting;
CREATE INDEX job_waiting ON job (repo, not_before, id) WHERE status = 'queued';
ALTER TABLE job DROP COLUMN rank;
