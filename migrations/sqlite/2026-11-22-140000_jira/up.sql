-- Jira Cloud: the sites that this server is linked to, the people on both sides, and what was said.
-- An issue of a tracker says where people talk about it, as JSON; its code is in the repository.
ALTER TABLE issue ADD COLUMN tracker TEXT;

CREATE TABLE jira_workspace (
    id TEXT NOT NULL PRIMARY KEY,
    -- the site's host, such as acme.atlassian.net
    name TEXT NOT NULL UNIQUE,
    jira_cloud_id TEXT,
    admin_user_id TEXT NOT NULL REFERENCES account (id),
    status TEXT NOT NULL CHECK (status IN ('active', 'inactive')),
    -- the service account's own id, by which our comments are known
    svc_account_id TEXT,
    -- webhook secrets, the service account's address and key, sealed together
    key_id TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE TABLE jira_project (
    workspace_id TEXT NOT NULL REFERENCES jira_workspace (id) ON DELETE CASCADE,
    project_key TEXT NOT NULL,
    platform TEXT NOT NULL,
    repo TEXT NOT NULL,
    PRIMARY KEY (workspace_id, project_key)
);
CREATE TABLE jira_user (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES account (id),
    -- the Atlassian account
    jira_user_id TEXT NOT NULL,
    workspace_id TEXT NOT NULL REFERENCES jira_workspace (id) ON DELETE CASCADE,
    display_name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'inactive')),
    key_id TEXT,
    sealed BLOB,
    -- while somebody refreshes the tokens
    held_until BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX jira_user_active ON jira_user (user_id, workspace_id) WHERE status = 'active';
CREATE UNIQUE INDEX jira_account_active ON jira_user (workspace_id, jira_user_id) WHERE status = 'active';
CREATE TABLE jira_conversation (
    conversation_id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL REFERENCES jira_workspace (id) ON DELETE CASCADE,
    -- Jira's own id and key of the issue
    issue_id TEXT NOT NULL,
    issue_key TEXT NOT NULL,
    jira_user_id TEXT NOT NULL REFERENCES jira_user (id) ON DELETE CASCADE,
    platform TEXT,
    repo TEXT,
    -- what waits until somebody says in which repository
    asked TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (workspace_id, issue_id, jira_user_id)
);
-- A link that is on its way through Atlassian's pages.
CREATE TABLE jira_state (
    hash TEXT NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL,
    sealed BLOB NOT NULL,
    expires_at BIGINT NOT NULL
);
-- What was heard of lately, so that it is heard once.
CREATE TABLE jira_seen (
    name TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
-- Deliveries that were acknowledged, until they are dealt with.
CREATE TABLE jira_event (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL REFERENCES jira_workspace (id) ON DELETE CASCADE,
    delivery_id TEXT NOT NULL,
    issue_id TEXT NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    error TEXT,
    created_at BIGINT NOT NULL,
    UNIQUE (workspace_id, delivery_id)
);
CREATE INDEX jira_event_due ON jira_event (not_before, id) WHERE status = 'waiting';
CREATE INDEX jira_event_of_issue ON jira_event (workspace_id, issue_id, id) WHERE status = 'waiting';
