-- A follow-up has the branch of the job before it, so that only the first jobs of branches must differ.
ALTER TABLE job ADD COLUMN follows TEXT;
ALTER TABLE job DROP CONSTRAINT job_platform_repo_branch_key;
CREATE UNIQUE INDEX job_first_on_branch ON job (platform, repo, branch) WHERE follows IS NULL;
CREATE INDEX job_of_branch ON job (platform, repo, branch, id);
