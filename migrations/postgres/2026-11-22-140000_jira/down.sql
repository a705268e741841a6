DROP TABLE jira_event;
DROP TABLE jira_seen;
DROP TABLE jira_state;
DROP TABLE jira_conversation;
DROP TABLE jira_user;
DROP TABLE jira_project;
DROP TABLE jira_workspace;
ALTER TABLE issue DROP COLUMN tracker;
