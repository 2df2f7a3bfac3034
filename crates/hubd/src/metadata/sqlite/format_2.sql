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
