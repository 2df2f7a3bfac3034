-- Objects whose bytes are part of a larger one, and since when: whoever reads them may read on for a grace.
CREATE TABLE retired (key TEXT PRIMARY KEY, since_s INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX retired_since ON retired (since_s);
-- Contents of several objects. Numbers begin at 1.
CREATE INDEX segments_scattered ON segments (blake3) WHERE number = 2;
