-- The list of issues in the order of their changes.
CREATE INDEX issue_updated ON issue (updated_at, id);
