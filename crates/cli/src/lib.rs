//! The gen-worker command, and the command line that every endpoint binary embeds.
