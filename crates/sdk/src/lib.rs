//! Write AI endpoints in Rust: the facade for endpoint authors.
