-- What people asked for, before it is known whether they may. A request has the id that its job will have.
CREATE TABLE trigger_request (
    id TEXT NOT NULL PRIMARY KEY,
    platform TEXT NOT NULL,
    repo TEXT NOT NULL,
    number_api BIGINT NOT NULL,
    -- the login in lower case
    actor TEXT NOT NULL,
    -- the whole request with its decision, JSON
    body TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('requested', 'admitted', 'refused')),
    -- when a reply to a refused request was queued
    answered_at BIGINT,
    attempts BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    error TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX trigger_request_due ON trigger_request (not_before, id) WHERE status = 'requested';
CREATE INDEX trigger_request_of_person ON trigger_request (platform, repo, number_api, actor, id) WHERE status = 'requested';
CREATE INDEX trigger_request_answered ON trigger_request (platform, repo, number_api) WHERE answered_at IS NOT NULL;

-- A delivery names the request that it made, which may never become a job: no foreign key any more.
ALTER TABLE delivery DROP CONSTRAINT delivery_job_id_fkey;

-- Every replica decides requests, whichever of them was told.
CREATE TRIGGER trigger_request_news AFTER INSERT ON trigger_request
    FOR EACH ROW EXECUTE FUNCTION patchwright_news();
