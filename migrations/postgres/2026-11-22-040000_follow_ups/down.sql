DELETE FROM job WHERE follows IS NOT NULL;
DROP INDEX job_of_branch;
DROP INDEX job_first_on_branch;
ALTER TABLE job ADD CONSTRAINT job_platform_repo_branch_key UNIQUE (platform, repo, branch);
ALTER TABLE job DROP COLUMN follows;
