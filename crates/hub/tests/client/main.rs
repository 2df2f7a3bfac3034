//! The client against a server that fails as told.
