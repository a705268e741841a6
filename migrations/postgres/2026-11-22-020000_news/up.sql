-- Tells every replica that listens when something was written that may be work.
CREATE FUNCTION patchwright_news() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('patchwright', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER job_news AFTER INSERT OR UPDATE OF status ON job
    FOR EACH ROW WHEN (NEW.status = 'queued') EXECUTE FUNCTION patchwright_news();
CREATE TRIGGER effect_news AFTER INSERT ON effect
    FOR EACH ROW EXECUTE FUNCTION patchwright_news();
