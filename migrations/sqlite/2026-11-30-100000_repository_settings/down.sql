ALTER TABLE repository DROP COLUMN settings;
