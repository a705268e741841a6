-- The names of an issue's labels, as a JSON list: those that name a part of the product say where to look.
ALTER TABLE issue ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
