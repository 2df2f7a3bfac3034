-- The transfer of an upload by grant. A sealed one takes no more parts.
CREATE TABLE transfers (
    upload TEXT PRIMARY KEY REFERENCES uploads ON DELETE CASCADE, id TEXT NOT NULL, sealed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Sessions are commits that were opened empty. result is null until it is finalized; the commit is then closed.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY REFERENCES commits ON DELETE CASCADE, result TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE session_uploads (
    upload TEXT PRIMARY KEY REFERENCES uploads ON DELETE CASCADE, path TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE datasets (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, folded TEXT NOT NULL, private INTEGER NOT NULL,
    schema TEXT NOT NULL, row_artifacts TEXT, UNIQUE (owner, folded)
) STRICT, WITHOUT ROWID;
CREATE TABLE dataset_files (
    dataset TEXT NOT NULL REFERENCES datasets ON DELETE CASCADE, blake3 TEXT NOT NULL REFERENCES blobs,
    PRIMARY KEY (dataset, blake3)
) STRICT, WITHOUT ROWID;
CREATE INDEX dataset_files_blob ON dataset_files (blake3);
-- sealed is the value, encrypted. applies_to is null for all releases.
CREATE TABLE variables (
    owner TEXT NOT NULL, endpoint TEXT NOT NULL, name TEXT NOT NULL, sealed BLOB NOT NULL, sensitive INTEGER NOT NULL,
    description TEXT, applies_to TEXT, PRIMARY KEY (owner, endpoint, name)
) STRICT, WITHOUT ROWID;
