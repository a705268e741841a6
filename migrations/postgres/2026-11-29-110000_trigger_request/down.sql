UPDATE delivery SET job_id = NULL WHERE job_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM job WHERE job.id = delivery.job_id);
ALTER TABLE delivery ADD CONSTRAINT delivery_job_id_fkey
    FOREIGN KEY (job_id) REFERENCES job (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;
DROP TABLE trigger_request;
