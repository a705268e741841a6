DROP TABLE preference;
ALTER TABLE session DROP COLUMN client;
