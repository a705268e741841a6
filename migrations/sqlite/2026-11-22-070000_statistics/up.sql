-- Sums over jobs that ended, by day and by each thing that is told apart (a repository, a node, a model), added to with the end of each: a look costs the same after a million of them.
CREATE TABLE run_sum (
    dimension TEXT NOT NULL,
    day TEXT NOT NULL,
    name TEXT NOT NULL,
    succeeded BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    PRIMARY KEY (dimension, day, name)
);
-- How many runs waited (`wait`) or ran (`run`) for about so long.
CREATE TABLE run_bucket (
    dimension TEXT NOT NULL,
    day TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    bucket BIGINT NOT NULL,
    runs BIGINT NOT NULL,
    PRIMARY KEY (dimension, day, name, kind, bucket)
);
