-- seq is the number of the latest release: numbers are not used again.
CREATE TABLE projects (
    id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL, UNIQUE (tenant, name)
) STRICT;
-- details are what nobody looks for: image, source and version, as JSON.
CREATE TABLE releases (
    id TEXT PRIMARY KEY, project INTEGER NOT NULL REFERENCES projects, seq INTEGER NOT NULL, manifest TEXT NOT NULL,
    blake3 TEXT NOT NULL,
    details TEXT NOT NULL, author TEXT NOT NULL, created_s INTEGER NOT NULL, UNIQUE (project, seq)
) STRICT;
CREATE TABLE release_endpoints (
    project INTEGER NOT NULL REFERENCES projects, endpoint TEXT NOT NULL,
    release TEXT NOT NULL REFERENCES releases ON DELETE CASCADE, position INTEGER NOT NULL,
    PRIMARY KEY (project, endpoint, release)
) STRICT, WITHOUT ROWID;
CREATE INDEX release_endpoints_release ON release_endpoints (release, position);
-- The keys of calls, under which a repeat finds what the first one published.
CREATE TABLE release_keys (
    project INTEGER NOT NULL REFERENCES projects, key TEXT NOT NULL,
    release TEXT NOT NULL REFERENCES releases ON DELETE CASCADE, created_s INTEGER NOT NULL, PRIMARY KEY (project, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX release_keys_age ON release_keys (created_s);
-- Who did what: entries stay. Those of releases have no endpoint. previous is the entry that a rollback goes back to.
CREATE TABLE release_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT, project INTEGER NOT NULL REFERENCES projects, endpoint TEXT, tag TEXT,
    action TEXT NOT NULL, from_release TEXT, to_release TEXT, previous INTEGER REFERENCES release_log,
    generation INTEGER NOT NULL, who TEXT NOT NULL, at_s INTEGER NOT NULL, reason TEXT
) STRICT;
CREATE INDEX release_log_tag ON release_log (project, endpoint, tag, id);
-- entry is the one that moved the tag to where it points.
CREATE TABLE endpoint_tags (
    project INTEGER NOT NULL REFERENCES projects, endpoint TEXT NOT NULL, tag TEXT NOT NULL,
    release TEXT NOT NULL REFERENCES releases, entry INTEGER NOT NULL REFERENCES release_log,
    PRIMARY KEY (project, endpoint, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX endpoint_tags_release ON endpoint_tags (release);
