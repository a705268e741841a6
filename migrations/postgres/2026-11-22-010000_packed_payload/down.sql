-- Packed payloads cannot be unpacked here; they are left out.
DROP INDEX delivery_received;
ALTER TABLE delivery ALTER CONSTRAINT delivery_job_id_fkey NOT DEFERRABLE;
ALTER TABLE delivery ALTER COLUMN payload SET STORAGE EXTENDED;
ALTER TABLE delivery ALTER COLUMN payload TYPE TEXT
    USING CASE WHEN substring(payload FROM 1 FOR 1) = '\x01'::bytea THEN '' ELSE convert_from(payload, 'UTF8') END;
