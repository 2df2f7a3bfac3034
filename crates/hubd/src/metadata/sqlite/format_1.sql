CREATE TABLE repos (
    id INTEGER PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, private INTEGER NOT NULL, metadata TEXT NOT NULL,
    UNIQUE (owner, name)
) STRICT;
CREATE TABLE blobs (
    blake3 TEXT PRIMARY KEY, size INTEGER NOT NULL, sha256 TEXT, used_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_used ON blobs (used_s);
-- A key is used once: one object belongs to one blob.
CREATE TABLE segments (
    key TEXT PRIMARY KEY, blake3 TEXT NOT NULL REFERENCES blobs, number INTEGER NOT NULL, size INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX segments_blob ON segments (blake3, number);
CREATE TABLE checkpoints (
    repo INTEGER NOT NULL REFERENCES repos, digest TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL,
    unsafe_weights INTEGER NOT NULL, body TEXT NOT NULL, created_s INTEGER NOT NULL, PRIMARY KEY (repo, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE files (
    repo INTEGER NOT NULL, digest TEXT NOT NULL, path TEXT NOT NULL, blake3 TEXT NOT NULL REFERENCES blobs,
    size INTEGER NOT NULL, PRIMARY KEY (repo, digest, path), FOREIGN KEY (repo, digest) REFERENCES checkpoints
) STRICT, WITHOUT ROWID;
CREATE INDEX files_blob ON files (blake3);
-- Every label that a checkpoint ever had in its repository; the empty one is none.
CREATE TABLE labels (
    repo INTEGER NOT NULL, digest TEXT NOT NULL, flavor TEXT NOT NULL, PRIMARY KEY (repo, digest, flavor)
) STRICT, WITHOUT ROWID;
CREATE TABLE tags (
    repo INTEGER NOT NULL REFERENCES repos, tag TEXT NOT NULL, default_flavor TEXT, PRIMARY KEY (repo, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE flavors (
    repo INTEGER NOT NULL, tag TEXT NOT NULL, flavor TEXT NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (repo, tag, flavor), FOREIGN KEY (repo, digest) REFERENCES checkpoints
) STRICT, WITHOUT ROWID;
-- state: 0 open, 1 done, 2 closed.
CREATE TABLE commits (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, private INTEGER NOT NULL, state INTEGER NOT NULL,
    body TEXT NOT NULL, result TEXT, expires_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX commits_expiry ON commits (expires_s);
CREATE TABLE pins (
    commit_id TEXT NOT NULL REFERENCES commits, blake3 TEXT NOT NULL, size INTEGER NOT NULL, here INTEGER NOT NULL,
    PRIMARY KEY (commit_id, blake3)
) STRICT, WITHOUT ROWID;
CREATE INDEX pins_blob ON pins (blake3);
-- Either owner and ref, or commit_id. created is null until it is complete.
CREATE TABLE uploads (
    id TEXT PRIMARY KEY, owner TEXT, ref TEXT, create_only INTEGER NOT NULL, commit_id TEXT REFERENCES commits,
    blake3 TEXT NOT NULL, size INTEGER NOT NULL, mime TEXT NOT NULL, expires_s INTEGER NOT NULL,
    sha256 TEXT, created INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_expiry ON uploads (expires_s);
CREATE INDEX uploads_commit ON uploads (commit_id);
CREATE TABLE parts (
    upload TEXT NOT NULL REFERENCES uploads, number INTEGER NOT NULL, key TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
    chaining TEXT NOT NULL, sha256 TEXT, PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE media (
    owner TEXT NOT NULL, ref TEXT NOT NULL, blake3 TEXT NOT NULL REFERENCES blobs, mime TEXT NOT NULL,
    PRIMARY KEY (owner, ref)
) STRICT, WITHOUT ROWID;
CREATE INDEX media_blob ON media (blake3);
CREATE TABLE doomed (key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
