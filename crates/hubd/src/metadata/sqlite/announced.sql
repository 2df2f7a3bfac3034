-- A content that an attempt has announced is counted once.
CREATE INDEX uploads_job ON uploads (job, blake3) WHERE job IS NOT NULL;
