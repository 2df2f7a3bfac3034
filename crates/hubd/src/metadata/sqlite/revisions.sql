-- How often commits have moved tags of the repository. Trees are also looked for without one.
ALTER TABLE repos ADD COLUMN revisions INTEGER NOT NULL DEFAULT 0;
UPDATE repos SET revisions = (SELECT count(*) FROM checkpoints WHERE checkpoints.repo = repos.id);
CREATE INDEX trees_digest ON checkpoints (digest);
CREATE INDEX trees_sha256 ON checkpoints (sha256);
