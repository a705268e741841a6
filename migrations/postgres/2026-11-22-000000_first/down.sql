DROP TABLE local_pull_request;
DROP TABLE local_comment;
DROP TABLE effect;
DROP TABLE delivery;
DROP TABLE task;
DROP TABLE job_stage;
DROP TABLE job;
DROP TABLE issue;
