-- How much an owner has open is counted with every commit that is opened.
CREATE INDEX commits_owner ON commits (owner) WHERE state = 0;
