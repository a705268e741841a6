-- Ids are UUIDs as text, times are microseconds since 1970 (UTC), JSON is text: one schema.rs serves both databases.

CREATE TABLE issue (
    id TEXT NOT NULL PRIMARY KEY,
    platform TEXT NOT NULL,
    repo TEXT NOT NULL,
    number_api BIGINT NOT NULL,
    number_display BIGINT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    author TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE (platform, repo, number_api)
);

CREATE TABLE job (
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
    UNIQUE (platform, repo, branch)
);
-- claim: the queued ones that wait longest, and the running ones whose lease ran out
CREATE INDEX job_due ON job (not_before, id) WHERE status = 'queued';
CREATE INDEX job_leased ON job (lease_until) WHERE status = 'running';
CREATE INDEX job_of_issue ON job (issue_id, id);
CREATE INDEX job_of_repo ON job (repo, id);

CREATE TABLE job_stage (
    job_id TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    stage TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    report TEXT,
    comment TEXT,
    reason TEXT,
    usage TEXT NOT NULL,
    PRIMARY KEY (job_id, stage)
);

CREATE TABLE task (
    id TEXT NOT NULL PRIMARY KEY,
    job_id TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    issue_id TEXT NOT NULL REFERENCES issue (id),
    node TEXT NOT NULL,
    status TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    result_branch TEXT,
    error_message TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX task_of_job ON task (job_id, id);

CREATE TABLE delivery (
    platform TEXT NOT NULL,
    id TEXT NOT NULL,
    identity TEXT,
    event_type TEXT NOT NULL,
    job_id TEXT REFERENCES job (id) ON DELETE CASCADE,
    received_at BIGINT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (platform, id)
);
-- the same comment, label or assignment told by another delivery is the same thing (NULLs do not collide)
CREATE UNIQUE INDEX delivery_identity ON delivery (platform, identity);
CREATE INDEX delivery_of_job ON delivery (job_id, received_at);

CREATE TABLE effect (
    id TEXT NOT NULL PRIMARY KEY,
    issue_id TEXT NOT NULL REFERENCES issue (id),
    job_id TEXT REFERENCES job (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    error TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX effect_due ON effect (not_before, id) WHERE status = 'waiting';
CREATE INDEX effect_of_issue ON effect (issue_id, id) WHERE status = 'waiting';

-- The built-in forge. Its issues are rows of `issue` with platform 'local'.
CREATE TABLE local_comment (
    id BIGINT NOT NULL PRIMARY KEY,
    repo TEXT NOT NULL,
    number_api BIGINT NOT NULL,
    author TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX local_comment_of ON local_comment (repo, number_api, id);

CREATE TABLE local_pull_request (
    repo TEXT NOT NULL,
    number_api BIGINT NOT NULL,
    head TEXT NOT NULL,
    base TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    draft BOOLEAN NOT NULL,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (repo, number_api)
);
