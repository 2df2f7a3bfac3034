-- Objects whose bytes are part of a larger one, and since when: whoever reads them may read on for a grace.
CREATE TABLE retired (key TEXT PRIMARY KEY, since_s INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX retired_since ON retired (since_s);
-- Contents of several objects. Numbers begin at 1.
CREATE INDEX segments_scattered ON segments (blake3) WHERE number = 2;
-- Objects into which contents are joined, and until when nobody else may.
CREATE TABLE joining (blake3 TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, until_s INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX joining_until ON joining (until_s);
