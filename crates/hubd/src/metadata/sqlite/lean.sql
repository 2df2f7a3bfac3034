-- Contents that may have lost their last name, and since when. A sweep looks at these only.
CREATE TABLE idle (
    blake3 TEXT PRIMARY KEY REFERENCES blobs ON DELETE CASCADE, since_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idle_since ON idle (since_s);
INSERT INTO idle (blake3, since_s) SELECT blake3, used_s FROM blobs;
DROP INDEX blobs_used;
ALTER TABLE blobs DROP COLUMN used_s;
-- What the attempts of jobs that have a limit have announced.
CREATE TABLE budgets (job TEXT PRIMARY KEY, bytes INTEGER NOT NULL, expires_s INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX budgets_expiry ON budgets (expires_s);
ALTER TABLE uploads ADD COLUMN job TEXT;
-- The operations of a commit are needed while it is open; then its files say the same. They stand beside the commit, because
-- whoever looks for a row of a table without row ids reads all of it, and every pin looks for its commit.
CREATE TABLE commit_bodies (commit_id TEXT PRIMARY KEY REFERENCES commits ON DELETE CASCADE, body TEXT NOT NULL) STRICT;
INSERT INTO commit_bodies (commit_id, body) SELECT id, body FROM commits WHERE state = 0;
ALTER TABLE commits DROP COLUMN body;
-- What was said about a checkpoint, for the same reason.
CREATE TABLE abouts (
    repo INTEGER NOT NULL, digest TEXT NOT NULL, about TEXT NOT NULL,
    PRIMARY KEY (repo, digest), FOREIGN KEY (repo, digest) REFERENCES checkpoints
) STRICT;
INSERT INTO abouts (repo, digest, about) SELECT repo, digest, json_remove(body, '$.operations') FROM checkpoints;
ALTER TABLE checkpoints DROP COLUMN body;
CREATE INDEX commits_open ON commits (expires_s) WHERE state = 0;
-- How many tensors of which type the header of a safetensors file names; an empty object for one that cannot be read.
CREATE TABLE weights (
    blake3 TEXT PRIMARY KEY REFERENCES blobs ON DELETE CASCADE, dtypes TEXT NOT NULL
) STRICT, WITHOUT ROWID;
ALTER TABLE checkpoints ADD COLUMN dtype TEXT;
