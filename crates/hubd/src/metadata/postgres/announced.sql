-- What an attempt has announced, by content.
CREATE INDEX uploads_job ON hub.uploads (job, blake3) WHERE job IS NOT NULL;
