-- Sums over jobs that ended, added to with the end of each: a look costs the same after a million of them.
CREATE TABLE run_sum (
    day TEXT NOT NULL,
    repo TEXT NOT NULL,
    node TEXT NOT NULL,
    model TEXT NOT NULL,
    succeeded BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    PRIMARY KEY (day, repo, node, model)
);
-- How many runs waited (`wait`) or ran (`run`) for about so long.
CREATE TABLE run_bucket (
    day TEXT NOT NULL,
    repo TEXT NOT NULL,
    node TEXT NOT NULL,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    bucket BIGINT NOT NULL,
    runs BIGINT NOT NULL,
    PRIMARY KEY (day, repo, node, model, kind, bucket)
);
