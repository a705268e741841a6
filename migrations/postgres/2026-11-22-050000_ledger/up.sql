-- What the model costs by day and repository; the row with no repository counts all of them.
CREATE TABLE ledger (
    day TEXT NOT NULL,
    repo TEXT NOT NULL,
    calls BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    PRIMARY KEY (day, repo)
);
