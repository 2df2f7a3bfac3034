-- A client asked for the cancel of a request that a worker had; it must not be forgotten by a restart.
ALTER TABLE live ADD COLUMN canceled INTEGER NOT NULL DEFAULT 0;
