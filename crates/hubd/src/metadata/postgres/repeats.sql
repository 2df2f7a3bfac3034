-- By what a commit is known again whose client did not hear that it was opened.
ALTER TABLE hub.commits ADD COLUMN repeat text;
CREATE INDEX commits_repeat ON hub.commits (repeat) WHERE repeat IS NOT NULL;
