-- Objects whose bytes are part of a larger one, and since when: whoever reads them may read on for a grace.
CREATE TABLE hub.retired (key text PRIMARY KEY, since_s bigint NOT NULL);
CREATE INDEX retired_since ON hub.retired (since_s);
-- Contents of several objects. Numbers begin at 1.
CREATE INDEX segments_scattered ON hub.segments (blake3) WHERE number = 2;
-- Objects into which contents are joined, and until when nobody else may.
CREATE TABLE hub.joining (blake3 bytea PRIMARY KEY, key text NOT NULL UNIQUE, until_s bigint NOT NULL);
CREATE INDEX joining_until ON hub.joining (until_s);
