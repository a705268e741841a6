-- People, what they come in with, the repositories that they added, and what they did.
CREATE TABLE account (
    id TEXT NOT NULL PRIMARY KEY,
    login TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    password TEXT,
    active BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE session (
    hash TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    csrf TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX session_of_account ON session (account_id);
CREATE TABLE api_token (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT
);
CREATE INDEX api_token_of_account ON api_token (account_id, id);
CREATE TABLE repository (
    id TEXT NOT NULL PRIMARY KEY,
    platform TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    synced_at BIGINT,
    UNIQUE (platform, name)
);
CREATE TABLE audit (
    id TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
);
ALTER TABLE issue ADD COLUMN owner TEXT;
CREATE INDEX issue_of_repo ON issue (repo, id);
CREATE INDEX issue_of_status ON issue (status, id);
ALTER TABLE task ADD COLUMN started_at BIGINT;
ALTER TABLE task ADD COLUMN completed_at BIGINT;
CREATE INDEX task_of_issue ON task (issue_id, id);
-- what changed since a viewer looked
CREATE INDEX job_changed ON job (updated_at, id);
