-- Payloads are packed, so they are bytes. The reference to the job is checked at the end of the transaction: a delivery
-- is written first, because a known one ends the step.
ALTER TABLE delivery ALTER COLUMN payload TYPE BYTEA USING convert_to(payload, 'UTF8');
-- lz4 has been there already
ALTER TABLE delivery ALTER COLUMN payload SET STORAGE EXTERNAL;
ALTER TABLE delivery ALTER CONSTRAINT delivery_job_id_fkey DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX delivery_received ON delivery (received_at);
