-- By what a commit is known again whose client did not hear that it was opened.
ALTER TABLE commits ADD COLUMN repeat TEXT;
CREATE INDEX commits_repeat ON commits (repeat) WHERE repeat IS NOT NULL;
