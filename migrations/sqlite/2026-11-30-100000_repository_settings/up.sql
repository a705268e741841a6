-- What an administrator decided about the repository, JSON.
ALTER TABLE repository ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
