CREATE TABLE job_old (
    id TEXT NOT NULL PRIMARY KEY,
    issue_id TEXT NOT NULL REFERENCES issue (id),
    platform TEXT NOT NULL,
    repo TEXT NOT NULL,
    number_api BIGINT NOT NULL,
    number_display BIGINT NOT NULL,
    title TEXT NOT NULL,
    job_trigger TEXT NOT NULL,
    branch TEXT NOT NULL,
    base_branch TEXT NOT NULL,
    publish TEXT NOT NULL,
    status TEXT NOT NULL,
    not_before BIGINT,
    lease TEXT,
    lease_until BIGINT,
    epoch BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    rounds BIGINT NOT NULL,
    feedback TEXT,
    published TEXT NOT NULL,
    verdict TEXT,
    failure TEXT,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    updated_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    actor TEXT NOT NULL DEFAULT '',
    UNIQUE (platform, repo, branch)
);
INSERT INTO job_old (id, issue_id, platform, repo, number_api, number_display, title, job_trigger, branch, base_branch, publish, status, not_before, lease, lease_until, epoch, attempts, rounds, feedback, published, verdict, failure, created_at, started_at, ended_at, updated_at, revision, actor)
SELECT id, issue_id, platform, repo, number_api, number_display, title, job_trigger, branch, base_branch, publish, status, not_before, lease, lease_until, epoch, attempts, rounds, feedback, published, verdict, failure, created_at, started_at, ended_at, updated_at, revision, actor FROM job WHERE follows IS NULL;
DROP TABLE job;
ALTER TABLE job_old RENAME TO job;
CREATE INDEX job_leased ON job (lease_until) WHERE status = 'running';
CREATE INDEX job_of_issue ON job (issue_id, id);
CREATE INDEX job_of_repo ON job (repo, id);
CREATE INDEX job_waiting ON job (repo, not_before, id) WHERE status = 'queued';
CREATE INDEX job_running ON job (repo) WHERE status = 'running';
