-- One process writes an SQLite file and wakes its own workers: nobody else has to be told.
SELECT 1;
