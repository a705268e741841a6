DROP INDEX issue_of_owner;
DROP TABLE repository_member;
DROP TABLE forge_account;
