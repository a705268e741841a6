DROP INDEX issue_updated;
