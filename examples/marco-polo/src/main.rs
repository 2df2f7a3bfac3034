//! A plain, a slow and a streaming function.
fn main() {}
