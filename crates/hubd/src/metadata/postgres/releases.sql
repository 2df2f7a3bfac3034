-- A content that an attempt has announced is counted once.
CREATE INDEX uploads_job ON hub.uploads (job, blake3) WHERE job IS NOT NULL;
-- seq is the number of the latest release: numbers are not used again.
CREATE TABLE hub.projects (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL,
    seq bigint NOT NULL, UNIQUE (tenant, name)
);
-- details are what nobody looks for: image, source and version, as JSON.
CREATE TABLE hub.releases (
    id text COLLATE "C" PRIMARY KEY, project bigint NOT NULL REFERENCES hub.projects, seq bigint NOT NULL,
    manifest text NOT NULL, blake3 bytea NOT NULL, details text NOT NULL, author text NOT NULL, created_s bigint NOT NULL,
    UNIQUE (project, seq)
);
CREATE TABLE hub.release_endpoints (
    project bigint NOT NULL REFERENCES hub.projects, endpoint text COLLATE "C" NOT NULL,
    release text COLLATE "C" NOT NULL REFERENCES hub.releases ON DELETE CASCADE, position bigint NOT NULL,
    PRIMARY KEY (project, endpoint, release)
);
CREATE INDEX release_endpoints_release ON hub.release_endpoints (release, position);
-- The keys of calls, under which a repeat finds what the first one published.
CREATE TABLE hub.release_keys (
    project bigint NOT NULL REFERENCES hub.projects, key text COLLATE "C" NOT NULL,
    release text COLLATE "C" NOT NULL REFERENCES hub.releases ON DELETE CASCADE, created_s bigint NOT NULL,
    PRIMARY KEY (project, key)
);
CREATE INDEX release_keys_release ON hub.release_keys (release);
-- Who did what: entries stay. Those of releases have no endpoint. previous is the entry that a rollback goes back to.
CREATE TABLE hub.release_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, project bigint NOT NULL REFERENCES hub.projects,
    endpoint text COLLATE "C", tag text COLLATE "C", action text NOT NULL, from_release text, to_release text,
    previous bigint REFERENCES hub.release_log, generation bigint NOT NULL, who text NOT NULL, at_s bigint NOT NULL,
    reason text
);
CREATE INDEX release_log_tag ON hub.release_log (project, endpoint, tag, id);
-- entry is the one that moved the tag to where it points.
CREATE TABLE hub.endpoint_tags (
    project bigint NOT NULL REFERENCES hub.projects, endpoint text COLLATE "C" NOT NULL, tag text COLLATE "C" NOT NULL,
    release text COLLATE "C" NOT NULL REFERENCES hub.releases, entry bigint NOT NULL REFERENCES hub.release_log,
    PRIMARY KEY (project, endpoint, tag)
);
CREATE INDEX endpoint_tags_release ON hub.endpoint_tags (release);
