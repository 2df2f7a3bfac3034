-- How often commits have moved tags of the repository. Trees are also looked for without one.
ALTER TABLE hub.repos ADD COLUMN revisions bigint NOT NULL DEFAULT 0;
UPDATE hub.repos AS r SET revisions = (SELECT count(*) FROM hub.checkpoints AS c WHERE c.repo = r.id);
CREATE INDEX trees_digest ON hub.checkpoints (digest);
CREATE INDEX trees_sha256 ON hub.checkpoints (sha256);
