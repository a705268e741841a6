DROP INDEX task_at_node;
ALTER TABLE task DROP COLUMN heard;
DROP INDEX job_needs;
ALTER TABLE job DROP COLUMN command;
ALTER TABLE job DROP COLUMN needs;
DROP TABLE task_log;
DROP TABLE node_success;
DROP TABLE node;
