DROP TRIGGER effect_news ON effect;
DROP TRIGGER job_news ON job;
DROP FUNCTION patchwright_news();
