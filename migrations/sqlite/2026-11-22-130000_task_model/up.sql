-- The model that a task's worker asks, so that nodes with models of their own are counted rightly.
ALTER TABLE task ADD COLUMN model TEXT NOT NULL DEFAULT '';
