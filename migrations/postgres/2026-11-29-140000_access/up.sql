-- The accounts of users on forges, by which the forges say what they may see.
CREATE TABLE forge_account (
    platform TEXT NOT NULL,
    -- in lower case
    login TEXT NOT NULL,
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    PRIMARY KEY (platform, login)
);
CREATE INDEX forge_account_of_user ON forge_account (account_id);

-- The repositories that administrators assigned users to.
CREATE TABLE repository_member (
    platform TEXT NOT NULL,
    repo TEXT NOT NULL,
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    PRIMARY KEY (platform, repo, account_id)
);
CREATE INDEX repository_member_of_user ON repository_member (account_id);

CREATE INDEX issue_of_owner ON issue (owner) WHERE owner IS NOT NULL;
