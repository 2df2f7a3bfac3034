-- Text that is compared or put in order is in the order of its bytes, as everywhere else.
CREATE TABLE hub.repos (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL,
    private boolean NOT NULL, metadata text NOT NULL, UNIQUE (owner, name)
);
CREATE TABLE hub.blobs (blake3 bytea PRIMARY KEY, size bigint NOT NULL, sha256 text);
-- A key is used once: one object belongs to one blob.
CREATE TABLE hub.segments (
    key text COLLATE "C" PRIMARY KEY, blake3 bytea NOT NULL REFERENCES hub.blobs, number bigint NOT NULL,
    size bigint NOT NULL
);
CREATE INDEX segments_blob ON hub.segments (blake3, number);
-- about is what was said about the tree.
CREATE TABLE hub.checkpoints (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, repo bigint NOT NULL REFERENCES hub.repos,
    digest text COLLATE "C" NOT NULL, sha256 text COLLATE "C" NOT NULL, size bigint NOT NULL,
    unsafe_weights boolean NOT NULL, dtype text, about text NOT NULL, created_s bigint NOT NULL, UNIQUE (repo, digest)
);
CREATE INDEX checkpoints_sha256 ON hub.checkpoints (repo, sha256);
CREATE TABLE hub.files (
    checkpoint bigint NOT NULL REFERENCES hub.checkpoints, path text COLLATE "C" NOT NULL,
    blake3 bytea NOT NULL REFERENCES hub.blobs, size bigint NOT NULL, PRIMARY KEY (checkpoint, path)
);
CREATE INDEX files_blob ON hub.files (blake3);
-- Every label that a checkpoint ever had; the empty one is none.
CREATE TABLE hub.labels (
    checkpoint bigint NOT NULL REFERENCES hub.checkpoints, flavor text COLLATE "C" NOT NULL,
    PRIMARY KEY (checkpoint, flavor)
);
CREATE TABLE hub.tags (
    repo bigint NOT NULL REFERENCES hub.repos, tag text COLLATE "C" NOT NULL, default_flavor text,
    PRIMARY KEY (repo, tag)
);
CREATE TABLE hub.flavors (
    repo bigint NOT NULL, tag text COLLATE "C" NOT NULL, flavor text COLLATE "C" NOT NULL,
    checkpoint bigint NOT NULL REFERENCES hub.checkpoints, PRIMARY KEY (repo, tag, flavor),
    FOREIGN KEY (repo, tag) REFERENCES hub.tags
);
-- state: 0 open, 1 done, 2 closed. body is what an open one has to become. A session is a commit that was opened empty; its
-- result is there once it is finalized, and it is closed then.
CREATE TABLE hub.commits (
    id text COLLATE "C" PRIMARY KEY, owner text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL,
    private boolean NOT NULL, session boolean NOT NULL, state bigint NOT NULL, body text, result text,
    expires_s bigint NOT NULL
);
CREATE INDEX commits_expiry ON hub.commits (expires_s);
CREATE INDEX commits_open ON hub.commits (expires_s) WHERE state = 0;
CREATE INDEX commits_owner ON hub.commits (owner) WHERE state = 0;
CREATE TABLE hub.pins (
    commit_id text COLLATE "C" NOT NULL REFERENCES hub.commits ON DELETE CASCADE, blake3 bytea NOT NULL,
    size bigint NOT NULL, here boolean NOT NULL, PRIMARY KEY (commit_id, blake3)
);
CREATE INDEX pins_blob ON hub.pins (blake3) WHERE here;
-- Either owner and ref, or commit_id, and path for a session. created is null until it is complete. transfer is that of an
-- upload by grant; a sealed one takes no more parts.
CREATE TABLE hub.uploads (
    id text COLLATE "C" PRIMARY KEY, owner text, ref text, create_only boolean NOT NULL,
    commit_id text COLLATE "C" REFERENCES hub.commits, path text, blake3 bytea NOT NULL, size bigint NOT NULL,
    mime text NOT NULL, expires_s bigint NOT NULL, sha256 text, created boolean, job text, transfer text,
    sealed boolean NOT NULL DEFAULT false
);
CREATE INDEX uploads_expiry ON hub.uploads (expires_s);
CREATE INDEX uploads_commit ON hub.uploads (commit_id);
CREATE TABLE hub.parts (
    upload text COLLATE "C" NOT NULL REFERENCES hub.uploads, number bigint NOT NULL,
    key text COLLATE "C" NOT NULL UNIQUE, size bigint NOT NULL, chaining bytea NOT NULL, sha256 text,
    PRIMARY KEY (upload, number)
);
CREATE TABLE hub.media (
    owner text COLLATE "C" NOT NULL, ref text COLLATE "C" NOT NULL, blake3 bytea NOT NULL REFERENCES hub.blobs,
    mime text NOT NULL, PRIMARY KEY (owner, ref)
);
CREATE INDEX media_blob ON hub.media (blake3);
CREATE TABLE hub.doomed (key text COLLATE "C" PRIMARY KEY);
CREATE TABLE hub.datasets (
    id text COLLATE "C" PRIMARY KEY, owner text COLLATE "C" NOT NULL, name text NOT NULL,
    folded text COLLATE "C" NOT NULL, private boolean NOT NULL, schema text NOT NULL, row_artifacts text,
    UNIQUE (owner, folded)
);
CREATE TABLE hub.dataset_files (
    dataset text COLLATE "C" NOT NULL REFERENCES hub.datasets ON DELETE CASCADE,
    blake3 bytea NOT NULL REFERENCES hub.blobs, PRIMARY KEY (dataset, blake3)
);
CREATE INDEX dataset_files_blob ON hub.dataset_files (blake3);
-- sealed is the value, encrypted. applies_to is null for all releases.
CREATE TABLE hub.variables (
    owner text COLLATE "C" NOT NULL, endpoint text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL,
    sealed bytea NOT NULL, sensitive boolean NOT NULL, description text, applies_to text,
    PRIMARY KEY (owner, endpoint, name)
);
-- Contents that may have lost their last name, and since when. A sweep looks at these only.
CREATE TABLE hub.idle (blake3 bytea PRIMARY KEY REFERENCES hub.blobs ON DELETE CASCADE, since_s bigint NOT NULL);
CREATE INDEX idle_since ON hub.idle (since_s);
-- What the attempts of jobs that have a limit have announced.
CREATE TABLE hub.budgets (job text COLLATE "C" PRIMARY KEY, bytes bigint NOT NULL, expires_s bigint NOT NULL);
CREATE INDEX budgets_expiry ON hub.budgets (expires_s);
-- How many tensors of which type the header of a safetensors file names; an empty object for one that cannot be read.
CREATE TABLE hub.weights (blake3 bytea PRIMARY KEY REFERENCES hub.blobs ON DELETE CASCADE, dtypes text NOT NULL);
-- Who has a content: kind 0 is a repository, 1 the media of an owner, 2 a dataset. For its repository what an open session has
-- brought is there before it is in a tree.
CREATE VIEW hub.holders AS
    SELECT f.blake3, 0::bigint AS kind, r.owner, r.name, r.private
        FROM hub.files AS f JOIN hub.checkpoints AS c ON c.id = f.checkpoint JOIN hub.repos AS r ON r.id = c.repo
    UNION ALL SELECT blake3, 1, owner, '', false FROM hub.media
    UNION ALL SELECT p.blake3, 0, c.owner, c.name, true
        FROM hub.pins AS p JOIN hub.commits AS c ON c.id = p.commit_id WHERE p.here AND c.session AND c.state = 0
    UNION ALL SELECT f.blake3, 2, d.owner, d.name, d.private
        FROM hub.dataset_files AS f JOIN hub.datasets AS d ON d.id = f.dataset;
