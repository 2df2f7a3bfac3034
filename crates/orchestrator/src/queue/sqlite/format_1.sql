-- What was submitted. A row never changes; small columns come first, so that a listing never touches a payload.
-- AUTOINCREMENT: a sequence is never given twice, not even after the newest rows were dropped.
CREATE TABLE request (
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    function    TEXT    NOT NULL,
    tenant      TEXT    NOT NULL,
    release_id  TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    -- Greatest created_at up to this row: rises with the sequence, so that a time can be found by bisection.
    clock_ms    INTEGER NOT NULL,
    body_digest BLOB    NOT NULL,
    options     BLOB,
    metadata    BLOB,
    payload     BLOB    NOT NULL
) STRICT;
CREATE INDEX request_by_function ON request (function);
CREATE INDEX request_by_tenant   ON request (tenant);

-- Where unfinished requests stand.
CREATE TABLE live (
    sequence    INTEGER PRIMARY KEY,
    state       TEXT    NOT NULL CHECK (state IN ('queued', 'assigned', 'running')),
    attempt     INTEGER NOT NULL,
    worker_id   TEXT,
    assigned_at INTEGER,
    started_at  INTEGER,
    attempts    BLOB
) STRICT;

-- How the others ended.
CREATE TABLE history (
    sequence    INTEGER PRIMARY KEY,
    state       TEXT    NOT NULL CHECK (state IN ('succeeded', 'failed', 'canceled')),
    attempt     INTEGER NOT NULL,
    worker_id   TEXT,
    assigned_at INTEGER,
    started_at  INTEGER,
    attempts    BLOB,
    ended_at    INTEGER NOT NULL,
    output_ref  TEXT,
    error       BLOB,
    timings     BLOB    NOT NULL,
    metrics     BLOB,
    output      BLOB
) STRICT;
-- The few that are looked for by their state.
CREATE INDEX history_unsuccessful ON history (state) WHERE state <> 'succeeded';

-- Functions that a worker has ever advertised.
CREATE TABLE known_function (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
